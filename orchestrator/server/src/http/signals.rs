//! `POST /v1/sagas/{id}/signals/{name}`: a saga is told what it awaits. It stands on both listeners.
//!
//! Invariant: a signal is committed before it is answered, and counts once.

use amends_contract::{SagaId, Token};
use amends_service::problem::{Json, Path, Problem, Problems};
use axum::extract::State;
use serde::Deserialize;
use serde_json::Value;

use super::app::App;
use super::auth::Caller;
use super::sagas::SagaStarted;
use super::{errors, input};

/// Which signal of which saga.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    id: SagaId,
    name: Token,
}

/// Sends a signal to a saga.
///
/// The body is what the signal says: the output of the step that awaits it; no body says `null`. It may come
/// before the step's turn. The same signal with the same body again is answered 200 and changes nothing; with
/// another body it is refused with 409, as is a signal that no step awaits any more.
#[utoipa::path(post, path = "/v1/sagas/{id}/signals/{name}", tag = "sagas", security(("api_key" = ["operate"])),
    params(
        ("id" = String, Path, description = "The saga's id."),
        ("name" = String, Path, description = "The signal's name in the definition, such as `approval`."),
    ),
    request_body(content = Option<Object>, content_type = "application/json", description = "Any JSON."),
    responses((status = 200, description = "The saga has it.", body = SagaStarted), Problems))]
pub(super) async fn signal(
    State(app): State<App>,
    caller: Caller,
    Path(Place { id, name }): Path<Place>,
    body: Option<Json<Value>>,
) -> Result<Json<SagaStarted>, Problem> {
    let data = body.map(|Json(data)| data).unwrap_or_default();
    input::check_data(&data, "#")?;
    let saga = app.core.signal(id, name, data, caller.actor()).await;
    let saga = saga.map_err(|error| errors::of_signal(&app, &error))?;
    Ok(Json(SagaStarted::of(&saga)))
}
