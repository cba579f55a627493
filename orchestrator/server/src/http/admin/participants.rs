//! `GET /v1/participants`: who does the steps, and whether they keep up.

use std::collections::BTreeMap;

use amends_broker::Instance;
use amends_contract::Token;
use amends_service::problem::{Json, Problem, Problems};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::super::errors;
use crate::core::ParticipantState;

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

/// Lists the participants with their instances, their backlog, and what they have not acknowledged.
#[utoipa::path(get, path = "/v1/participants", tag = "participants", security(("api_key" = ["operate"])),
    responses((status = 200, body = ParticipantList), Problems))]
pub(super) async fn list(State(app): State<App>) -> Result<Json<ParticipantList>, Problem> {
    let states = app.core.participants().await.map_err(|error| errors::of_broker(&app, &error))?;
    Ok(Json(ParticipantList { participants: states.into_iter().map(ParticipantView::from).collect() }))
}

impl From<ParticipantState> for ParticipantView {
    fn from(state: ParticipantState) -> Self {
        let ParticipantState { name, instances, consumer } = state;
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
        Self { name, instances: instances.into_iter().map(instance).collect(), consumer }
    }
}
