//! `POST /v1/sagas`: starts a saga of any definition. It stands on both listeners.

use std::collections::BTreeMap;

use amends_contract::{self as contract, DefinitionRef, SagaId, Timestamp, Token};
use amends_engine::{Failure, Saga, Status};
use amends_service::problem::{Json, Problem, Problems};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::app::App;
use super::auth::Caller;
use super::input;
use super::submit::{Submission, Terms, submit};
use crate::core::Loaded;
use crate::idempotency::{Answer, meaning};

/// A saga to be started. The fields stand in the order of their names, for that is how requests are compared.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SagaRequest {
    /// The definition's name.
    #[schema(value_type = String, example = "order")]
    definition: Token,
    /// What the saga is about, as the definition's schema wants it.
    #[serde(default)]
    #[schema(value_type = Object)]
    input: contract::Json,
    /// When it shall begin, in the future (RFC 3339); left out: at once. Its deadline counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_at: Option<Timestamp>,
    /// Its version; left out: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
}

/// A saga, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagaStarted {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: SagaId,
    /// Name and version of its definition, as `order.v1`.
    #[schema(value_type = String)]
    definition: DefinitionRef,
    /// How it stands.
    #[schema(value_type = String, example = "running")]
    status: Status,
    /// Why it turned backward.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Failure>,
    /// When it was taken.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it begins; none once it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_at: Option<Timestamp>,
}

impl SagaStarted {
    pub(super) fn of(saga: &Saga) -> Self {
        Self {
            id: saga.id,
            definition: saga.definition.clone(),
            status: saga.status(),
            failure: saga.failure.clone(),
            created_at: saga.id.made_at(),
            start_at: saga.start_at,
        }
    }
}

/// Starts a saga of any definition.
///
/// Under the same rules as an order: `Idempotency-Key` is needed, `Prefer: wait` is heard.
#[utoipa::path(post, path = "/v1/sagas", tag = "sagas", security(("api_key" = ["operate"])),
    params(
        ("idempotency-key" = String, Header, description = "Your own text for this request, 1 to 255 visible ASCII \
            characters; the same one when you try again."),
        ("prefer" = Option<String>, Header, description = "`wait=<seconds>`: hold the answer back until the saga \
            has ended."),
    ),
    request_body = SagaRequest,
    responses(
        (status = 200, description = "The saga has ended while you waited.", body = SagaStarted),
        (status = 202, description = "The saga is started.", body = SagaStarted),
        Problems,
    ))]
pub(super) async fn start(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<SagaRequest>,
) -> Result<Response, Problem> {
    let terms = Terms::of(&app, &headers)?;
    let meaning = meaning("POST /v1/sagas", &request);
    let loaded = definition(&app, &request)?;
    input::check(&loaded, &request.input, "#/input")?;
    let (reference, start_at) = (loaded.definition.reference(), request.start_at);
    let accepted = |id: SagaId, _: &contract::Json| Answer {
        status: StatusCode::ACCEPTED.as_u16(),
        headers: BTreeMap::new(),
        body: Answer::body(&SagaStarted {
            id,
            definition: reference,
            status: Status::Running,
            failure: None,
            created_at: id.made_at(),
            start_at,
        }),
    };
    let submission = Submission { definition: loaded.definition, meaning, input: request.input, start_at };
    submit(&app, &caller, terms, submission, accepted, |saga| Answer::body(&SagaStarted::of(saga))).await
}

fn definition(app: &App, request: &SagaRequest) -> Result<Loaded, Problem> {
    let definitions = app.core.definitions();
    let (found, place) = match request.version {
        None => (definitions.latest(&request.definition), "#/definition"),
        Some(version) => {
            let reference = DefinitionRef { name: request.definition.clone(), version };
            let place =
                if definitions.latest(&request.definition).is_some() { "#/version" } else { "#/definition" };
            (definitions.version(&reference), place)
        }
    };
    found.ok_or_else(|| {
        let known: Vec<String> =
            definitions.all().iter().map(|loaded| loaded.definition.reference().to_string()).collect();
        let why = format!("not among the definitions that are loaded: {}", known.join(", "));
        Problem::bad_request("unknown-definition", "there is no such definition").with_error(place, why)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_request_means_is_that_of_its_sorted_form() {
        let body = json!({
            "version": 2,
            "input": { "b": 1, "a": [2] },
            "definition": "order",
            "start_at": "2026-11-21T08:02:49.123Z",
        });
        let request: SagaRequest = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(meaning("POST /v1/sagas", &request), meaning("POST /v1/sagas", &body));
    }
}
