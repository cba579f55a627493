//! `GET /v1/sagas/{id}`.

use amends_contract::SagaId;
use amends_engine::Saga;
use amends_service::problem::{Path, Problem, Problems};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::super::app::App;
use super::super::{errors, tags};
use super::view::SagaView;

/// Shows a saga with its steps.
#[utoipa::path(get, path = "/v1/sagas/{id}", tag = "sagas", security(("api_key" = ["operate"])),
    params(
        ("id" = String, Path, description = "The saga's id."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` you have."),
    ),
    responses(
        (status = 200, body = SagaView, headers(("etag" = String))),
        (status = 304, description = "It is as you have it."),
        Problems,
    ))]
pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<SagaId>,
) -> Result<Response, Problem> {
    let saga = app.core.store().saga(id).await.map_err(|error| errors::of_store(&app, error))?;
    let saga = saga.ok_or_else(|| missing(id))?;
    Ok(tags::answer(&headers, &saga, view(&app, saga.clone())))
}

/// The saga as an operator sees it.
pub(super) fn view(app: &App, saga: Saga) -> SagaView {
    SagaView::new(saga, app.core.definitions())
}

pub(super) fn missing(id: SagaId) -> Problem {
    Problem::not_found(format!("there is no saga {id}"))
}
