//! `POST /v1/sagas/{id}/actions`: an operator acts on a saga.

use amends_contract::SagaId;
use amends_engine::OperatorAction;
use amends_service::problem::{Json, Path, Problem, Problems};
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, reason};
use super::show::view;
use super::view::SagaView;

/// What is to be done, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Action {
    /// `retry-now` (send what is open now, end back-offs, free stuck steps) or `cancel` (turn backward).
    #[schema(value_type = String, example = "retry-now")]
    action: OperatorAction,
    /// Stands in the journal, with your key's name.
    reason: String,
}

/// Acts on a saga.
///
/// Answered when it is committed. What is not legal now is refused with 409, with the reason and what would be
/// legal instead.
#[utoipa::path(post, path = "/v1/sagas/{id}/actions", tag = "sagas", security(("api_key" = ["operate"])),
    params(("id" = String, Path, description = "The saga's id.")), request_body = Action,
    responses((status = 200, description = "The saga after it.", body = SagaView), Problems))]
pub(super) async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<SagaId>,
    Json(Action { action, reason }): Json<Action>,
) -> Result<Json<SagaView>, Problem> {
    reason::require(&reason)?;
    let saga = app.core.operate(id, action, caller.actor(), reason).await;
    let saga = saga.map_err(|error| errors::of_operate(&app, &error))?;
    Ok(Json(view(&app, saga)))
}
