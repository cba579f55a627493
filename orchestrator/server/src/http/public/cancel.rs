//! `POST /v1/orders/{id}/cancel`.

use amends_contract::SagaId;
use amends_engine::OperatorAction;
use amends_service::problem::{Json, Path, Problem, Problems};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, reason};
use super::orders::find;
use crate::orders::{OrderStatus, OrderView};

/// Why an order is cancelled.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cancel {
    /// For people; it becomes the order's `failure.detail`.
    #[serde(default)]
    reason: String,
}

/// Cancels an order.
///
/// Answered 202: what has happened is undone now, and the order ends `cancelled`; if it was just passing the
/// point of no return, it may still end `confirmed`. After that point it is refused with 409. Cancelling a
/// cancelled order again changes nothing.
#[utoipa::path(post, path = "/v1/orders/{id}/cancel", tag = "orders", security(("api_key" = ["order"])),
    params(("id" = String, Path, description = "The order's id.")),
    request_body = Option<Cancel>,
    responses(
        (status = 200, description = "It was cancelled already.", body = OrderView),
        (status = 202, description = "It is being cancelled.", body = OrderView,
            headers(("location" = String, description = "Where the order is."))),
        Problems,
    ))]
pub(super) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SagaId>,
    body: Option<Json<Cancel>>,
) -> Result<Response, Problem> {
    let reason = body.map(|Json(body)| body).unwrap_or_default().reason;
    reason::check(&reason)?;
    let (_, order) = find(&app, id).await?;
    if order.status == OrderStatus::Cancelled {
        return Ok(Json(order).into_response());
    }
    let saga = app.core.operate(id, OperatorAction::Cancel, caller.actor(), reason).await;
    let saga = saga.map_err(|error| errors::of_operate(&app, &error))?;
    let location = format!("/v1/orders/{id}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(OrderView::of(&saga))).into_response())
}
