//! `GET /v1/sagas/{id}/messages`: what was said about a saga over the broker.

use amends_contract::{SagaId, Stream, Timestamp};
use amends_service::problem::{Json, Path, Problem, Problems};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::errors;
use crate::core::{SagaMessage, SagaMessages, outcome_of};

/// The commands and replies of a saga.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageList {
    /// In the order in which the broker stored them.
    messages: Vec<MessageView>,
    /// Whether all moments of its journal were looked at; if not, `amends message ls --saga` reads on.
    complete: bool,
    /// How many messages, of all sagas, were read for it.
    scanned: u64,
}

/// A stored message.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MessageView {
    /// `command` or `reply`.
    #[schema(value_type = String, example = "command")]
    kind: &'static str,
    /// The stream it lies in.
    stream: String,
    /// Its sequence there.
    stream_seq: u64,
    /// Which element of a batch it is, from 0; none when it travelled alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<u32>,
    /// When the broker stored it.
    #[schema(value_type = String, format = DateTime)]
    stored_at: Timestamp,
    /// The subject it was sent on.
    subject: String,
    /// The id in its envelope.
    id: String,
    /// The effect it asks for, or is about.
    effect: Option<String>,
    /// Its step.
    step: Option<String>,
    /// Which sending it is, or answers.
    send_no: Option<String>,
    /// What a reply says.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// Of a reply: the sequence of the command that made the effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause_seq: Option<String>,
    /// Of a reply: how often that command had been delivered then.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause_delivery: Option<String>,
    /// Of a command: how often it had been delivered when it made its effect, as far as a reply tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<u64>,
}

/// Lists the commands and replies of a saga, as far as the broker holds them.
///
/// It reads the streams around the moments of the saga's journal; what was published by hand at another time
/// is not found.
#[utoipa::path(get, path = "/v1/sagas/{id}/messages", tag = "sagas", security(("api_key" = ["operate"])),
    params(("id" = String, Path, description = "The saga's id.")),
    responses((status = 200, body = MessageList), Problems))]
pub(super) async fn list(
    State(app): State<App>,
    Path(id): Path<SagaId>,
) -> Result<Json<MessageList>, Problem> {
    let (slack_ms, scan_max) = (app.api.messages_slack_ms, app.api.messages_scanned_max);
    let found = app.core.messages(id, slack_ms, scan_max).await;
    let SagaMessages { messages, complete, scanned } =
        found.map_err(|error| errors::of_messages(&app, error))?;
    let view = |message| MessageView::new(&app, message);
    Ok(Json(MessageList { messages: messages.into_iter().map(view).collect(), complete, scanned }))
}

impl MessageView {
    fn new(app: &App, message: SagaMessage) -> Self {
        let SagaMessage { stream, stream_seq, element, stored_at, subject, envelope, deliveries } = message;
        Self {
            kind: if stream == Stream::Command { "command" } else { "reply" },
            stream: app.core.names().stream(stream),
            stream_seq,
            element,
            stored_at,
            subject,
            outcome: outcome_of(&envelope).map(str::to_owned),
            id: envelope.id,
            effect: envelope.effectid,
            step: envelope.sagastep,
            send_no: envelope.sendno,
            cause_seq: envelope.causeseq,
            cause_delivery: envelope.causedelivery,
            deliveries,
        }
    }
}
