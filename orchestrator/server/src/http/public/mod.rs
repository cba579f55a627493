//! The public listener: what back ends with an API key may ask.

mod cancel;
mod orders;

use amends_service::openapi;
use axum::Router;
use axum::middleware::from_fn_with_state;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::app::App;
use super::auth::require;
use super::{described, sagas, signals};
use crate::keys::Scope;

const DESCRIPTION: &str = "Orders for a shop's back end. Every request needs `Authorization: Bearer <API key>`; \
                           whatever goes wrong is answered as `application/problem+json` (RFC 9457).";

pub(super) fn router(app: App) -> Router {
    let orders = OpenApiRouter::new()
        .routes(routes!(orders::place, orders::list))
        .routes(routes!(orders::show))
        .routes(routes!(cancel::cancel))
        .route_layer(from_fn_with_state((app.clone(), Scope::Order), require));
    let sagas = OpenApiRouter::new()
        .routes(routes!(sagas::start))
        .routes(routes!(signals::signal))
        .route_layer(from_fn_with_state((app.clone(), Scope::Operate), require));
    let mut api = openapi::router("Amends", DESCRIPTION).merge(orders).merge(sagas);
    described::parameters(api.get_openapi_mut(), &app.api);
    openapi::with_docs(api.with_state(app))
}
