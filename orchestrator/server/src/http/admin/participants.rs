//! `/v1/participants`: who does the steps, whether they keep up, and who has paused them.
//!
//! Invariant: whatever is done with a participant stands in the database, with actor, reason and time, before it
//! is answered.

use std::collections::BTreeMap;

use amends_broker::Instance;
use amends_contract::{Timestamp, Token};
use amends_service::problem::{Json, Path, Problem, Problems};
use amends_store::{ParticipantAction, ParticipantWish};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, reason};
use crate::core::{ParticipantError, ParticipantSaid, ParticipantState, PauseEnd};

/// All participants that a loaded definition calls.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantList {
    /// In the order of their names.
    participants: Vec<ParticipantView>,
}

/// A participant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantView {
    /// Its name.
    #[schema(value_type = String)]
    name: Token,
    /// Its running processes, as far as they show themselves as micro services.
    instances: Vec<InstanceView>,
    /// How far it has read its commands; none when it has never been here.
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<ConsumerView>,
    /// Who has paused it, and why; none when it goes on, or when somebody paused its consumer by hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<ParticipantPauseView>,
}

/// A participant's pause.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantPauseView {
    /// Who said so.
    actor: String,
    /// Why.
    reason: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// When it ends by itself; none when somebody has to end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A running process.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct InstanceView {
    /// Its id among the micro services.
    id: String,
    /// The version of its program.
    version: String,
    /// What else it says of itself.
    metadata: BTreeMap<String, String>,
}

/// How far a participant has read its commands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsumerView {
    /// Pulls that wait for commands; 0 means that nobody is reading.
    waiting: usize,
    /// Commands that were not delivered yet.
    backlog: u64,
    /// Commands that were delivered and are not acknowledged yet.
    ack_pending: usize,
    /// Those of them that were delivered more than once.
    redelivered: usize,
    /// The sequence of the newest command that was delivered.
    delivered_seq: u64,
    /// All commands up to this sequence are acknowledged.
    acked_seq: u64,
    /// For how many milliseconds more nothing is delivered because somebody paused it; 0: it is not paused.
    paused_ms: u64,
}

/// What is to be done with a participant, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ParticipantRequest {
    /// `pause` (it gets no commands), or `resume` (it gets them again).
    action: ParticipantDeed,
    /// Stands in the database, with your key's name.
    reason: String,
    /// Of `pause`: when it ends by itself. If neither this nor `for_s` is given, somebody has to end it.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Of `pause`: after how many seconds it ends by itself.
    #[schema(example = 600)]
    for_s: Option<u32>,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ParticipantDeed {
    Pause,
    Resume,
}

/// A participant after an action.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParticipantSaidView {
    /// Its name.
    #[schema(value_type = String)]
    name: Token,
    /// Its pause; none when it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pause: Option<ParticipantPauseView>,
    /// Whether the broker does so already. If not, it will as soon as it and the participant's consumer are there.
    applied: bool,
}

/// Lists the participants with their instances, their backlog, and what they have not acknowledged.
#[utoipa::path(get, path = "/v1/participants", tag = "participants", security(("api_key" = ["operate"])),
    responses((status = 200, body = ParticipantList), Problems))]
pub(super) async fn list(State(app): State<App>) -> Result<Json<ParticipantList>, Problem> {
    let states = app.core.participants().await.map_err(|error| errors::of_broker(&app, &error))?;
    Ok(Json(ParticipantList { participants: states.into_iter().map(ParticipantView::from).collect() }))
}

/// Pauses a participant, or lets it go on.
///
/// A paused participant gets no commands, by the broker's own doing. Its sagas are `held`: nothing is sent again, no
/// attempt is burnt, deadlines stand still; what it has begun it may finish. Afterwards they are let go as after any
/// outage, few at first. A pause said again holds until its new end. `resume` also ends a pause that was made at the
/// broker by hand; it is refused with 409 where there is none. Answered when it is committed: whether the broker is
/// there does not matter, and it survives the broker's store.
#[utoipa::path(post, path = "/v1/participants/{name}/actions", tag = "participants",
    security(("api_key" = ["operate"])), params(("name" = String, Path, description = "Its name.")),
    request_body = ParticipantRequest,
    responses((status = 200, description = "It is said.", body = ParticipantSaidView), Problems))]
pub(super) async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<Token>,
    Json(request): Json<ParticipantRequest>,
) -> Result<Json<ParticipantSaidView>, Problem> {
    reason::require(&request.reason)?;
    let (actor, end) = (caller.actor(), request.end()?);
    let by = (actor.as_str(), request.reason.as_str());
    let said = match end {
        Some(end) => app.core.pause_participant(&name, end, by).await,
        None => app.core.resume_participant(&name, by).await,
    };
    let ParticipantSaid { said, applied } = said.map_err(|error| of_participant(&app, error))?;
    Ok(Json(ParticipantSaidView { name, pause: ParticipantPauseView::of(said), applied }))
}

impl ParticipantRequest {
    /// For how long it shall pause; `None` when it shall go on.
    fn end(&self) -> Result<Option<PauseEnd>, Problem> {
        match (self.action, self.until, self.for_s) {
            (ParticipantDeed::Resume, None, None) => Ok(None),
            (ParticipantDeed::Resume, Some(_), _) => Err(wrong("#/until", "resume does not take it")),
            (ParticipantDeed::Resume, None, Some(_)) => Err(wrong("#/for_s", "resume does not take it")),
            (ParticipantDeed::Pause, None, None) => Ok(Some(PauseEnd::Open)),
            (ParticipantDeed::Pause, Some(until), None) => Ok(Some(PauseEnd::At(until))),
            (ParticipantDeed::Pause, None, Some(0)) => {
                Err(wrong("#/for_s", "a pause lasts a second at least"))
            }
            (ParticipantDeed::Pause, None, Some(seconds)) => {
                Ok(Some(PauseEnd::After(u64::from(seconds) * 1_000)))
            }
            (ParticipantDeed::Pause, Some(_), Some(_)) => {
                Err(wrong("#/for_s", "give until or for_s, not both"))
            }
        }
    }
}

fn wrong(pointer: &str, detail: &str) -> Problem {
    Problem::bad_request("invalid-body", "the body is JSON but not what is expected here")
        .with_error(pointer, detail)
}

fn of_participant(app: &App, error: ParticipantError) -> Problem {
    match error {
        ParticipantError::NotFound(_) => Problem::not_found(error.to_string()),
        ParticipantError::Passed { .. } => wrong("#/until", &error.to_string()),
        ParticipantError::NotPaused(_) => Problem::new(StatusCode::CONFLICT, "refused", error.to_string()),
        ParticipantError::Broker(error) => errors::of_broker(app, &error),
        ParticipantError::Store(error) => errors::of_store(app, error),
    }
}

impl ParticipantPauseView {
    /// `None` of who goes on.
    fn of(said: ParticipantAction) -> Option<Self> {
        let ParticipantAction { wish, actor, reason, at, .. } = said;
        match wish {
            ParticipantWish::Pause { until } => Some(Self { actor, reason, since: at, until }),
            ParticipantWish::Resume => None,
        }
    }
}

impl From<ParticipantState> for ParticipantView {
    fn from(state: ParticipantState) -> Self {
        let ParticipantState { name, instances, consumer, pause } = state;
        let instance = |Instance { id, version, metadata, .. }| InstanceView { id, version, metadata };
        let consumer = consumer.map(|status| ConsumerView {
            waiting: status.waiting,
            backlog: status.pending,
            ack_pending: status.ack_pending,
            redelivered: status.redelivered,
            delivered_seq: status.delivered_seq,
            acked_seq: status.acked_seq,
            paused_ms: status.paused_ms,
        });
        let instances = instances.into_iter().map(instance).collect();
        Self { name, instances, consumer, pause: pause.and_then(ParticipantPauseView::of) }
    }
}
