//! The operators' listener: every saga, what can be done about it, health and metrics.

mod actions;
mod dead_letters;
mod definitions;
mod journal;
mod list;
mod messages;
mod participants;
mod pauses;
mod show;
mod view;

use amends_service::{Health, openapi};
use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::app::App;
use super::auth::require;
use super::{described, sagas, signals};
use crate::keys::Scope;

const DESCRIPTION: &str = "For operators: see every saga, and act on it. What is under `/v1` needs \
                           `Authorization: Bearer <API key>` with the scope `operate`; health and metrics do not. \
                           Whatever goes wrong is answered as `application/problem+json` (RFC 9457).";

pub(super) fn router(app: App, health: &Health) -> Router {
    let operators = operators().route_layer(from_fn_with_state((app.clone(), Scope::Operate), require));
    let mut api = openapi::router("Amends, admin", DESCRIPTION).merge(operators);
    described::parameters(api.get_openapi_mut(), &app.api);
    let api = api.with_state(app);
    openapi::with_docs(api.merge(health.router()))
}

/// The same routes for whoever is let in otherwise: each request has to bring its caller along.
pub(super) fn without_keys(app: App) -> Router {
    operators().with_state(app).split_for_parts().0
}

fn operators() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sagas::start, list::list))
        .routes(routes!(show::show))
        .routes(routes!(signals::signal))
        .routes(routes!(journal::journal))
        .routes(routes!(actions::act))
        .routes(routes!(definitions::list))
        .routes(routes!(definitions::show))
        .routes(routes!(pauses::pause))
        .routes(routes!(pauses::resume))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::show))
        .routes(routes!(dead_letters::act))
        .routes(routes!(messages::list))
        .routes(routes!(participants::list))
        .routes(routes!(participants::act))
}
