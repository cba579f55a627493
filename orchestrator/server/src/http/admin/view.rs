//! A saga, shown to an operator: what its state says, in words of the definition language.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Digest, Direction, SagaId, Timestamp, Token};
use amends_definition::{Definition, StepKind, Undo};
use amends_engine::{ActionState, Alarm, Failure, Flags, HeldBy, Saga, Status, StepState, UndoState};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A saga with its steps.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagaView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: SagaId,
    /// Name and version of its definition, as `order.v1`.
    #[schema(value_type = String)]
    definition: DefinitionRef,
    /// SHA-256 of the definition it is pinned to.
    #[schema(value_type = String)]
    digest: Digest,
    /// How it stands.
    #[schema(value_type = String, example = "running")]
    status: Status,
    /// What stands beside the status, such as `needs_attention`.
    #[schema(value_type = Vec<String>)]
    flags: Vec<&'static str>,
    /// Why it turned backward.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Failure>,
    /// Why it will turn backward if the step at the point of no return turns out not to have happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    doubt: Option<Failure>,
    /// What it was started with.
    #[schema(value_type = Object)]
    input: Value,
    /// For search.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Token, String>,
    /// How many inputs it has taken: the length of its journal.
    version: u64,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it last took an input.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it wants attention next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// When it turns backward by itself, or is marked overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline_at: Option<Timestamp>,
    /// The steps in the definition's order, then those of `on_compensated`.
    steps: Vec<StepView>,
    /// What an operator may do now.
    #[schema(value_type = Vec<String>)]
    allowed: Vec<&'static str>,
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StepView {
    /// Its name.
    #[schema(value_type = String)]
    name: Token,
    /// On which side of the point of no return it stands: compensatable, pivot or retriable.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Whom it asks for what, as `inventory.reserve-stock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<String>,
    /// What is known of its action.
    action: EffectView,
    /// What is known of its undo; none when it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<EffectView>,
    /// Something that cannot be was reported of this step.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    alarm: Option<Alarm>,
}

/// A step's action, or its undo.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(super) struct EffectView {
    /// How it stands: waiting, sent, pending, backing_off, fencing, succeeded, rejected, cancelled, unknown,
    /// undone, nothing_to_undo, stuck, none.
    state: &'static str,
    /// What it gave back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output: Option<Value>,
    /// Why it was rejected, or is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// The last sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_no: Option<u32>,
    /// Attempts that are left before it counts as used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_left: Option<u32>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// When it is sent again if nothing is heard.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// Whose outage keeps it from being sent: broker or participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    held_by: Option<HeldBy>,
}

impl SagaView {
    /// The saga; with what its definition says of the steps, if that is known here.
    pub(super) fn new(saga: Saga, definition: Option<&Definition>) -> Self {
        let allowed =
            definition.map(|definition| amends_engine::allowed(&saga, definition)).unwrap_or_default();
        Self {
            status: saga.status(),
            flags: flags(saga.flags()),
            due_at: saga.due_at(),
            allowed: allowed.iter().map(|action| action.name()).collect(),
            steps: saga.steps.iter().map(|step| StepView::new(step, definition)).collect(),
            id: saga.id,
            definition: saga.definition,
            digest: saga.digest,
            failure: saga.failure,
            doubt: saga.doubt,
            input: saga.input,
            labels: saga.labels,
            version: saga.version,
            started_at: saga.started_at,
            updated_at: saga.updated_at,
            deadline_at: saga.deadline_at,
        }
    }
}

impl StepView {
    fn new(step: &StepState, definition: Option<&Definition>) -> Self {
        let defined = definition.and_then(|definition| definition.step(&step.name));
        let has_undo = defined.is_none_or(|step| matches!(step.undo, Some(Undo::Call { .. })))
            || !matches!(step.undo, UndoState::None);
        Self {
            name: step.name.clone(),
            kind: defined.map(|step| StepKind::as_str(step.kind)),
            call: defined.map(|step| step.call.to_string()),
            action: EffectView::action(step),
            undo: has_undo.then(|| EffectView::undo(step)),
            alarm: step.alarm,
        }
    }
}

impl EffectView {
    fn action(step: &StepState) -> Self {
        let view = Self { state: step.action.name(), ..Self::of(step, Direction::Forward) };
        match &step.action {
            ActionState::Succeeded { output, .. } => Self { output: some(output), ..view },
            ActionState::Rejected { code, message } => {
                Self { code: Some(code.clone()), detail: Some(message.clone()), ..view }
            }
            _ => view,
        }
    }

    fn undo(step: &StepState) -> Self {
        let view = Self { state: step.undo.name(), ..Self::of(step, Direction::Backward) };
        match &step.undo {
            UndoState::Undone { output, .. } => Self { output: some(output), ..view },
            _ => view,
        }
    }

    fn of(step: &StepState, direction: Direction) -> Self {
        let (effect, flight, stuck) = (step.effect(direction), step.flight(direction), step.stuck(direction));
        Self {
            data: effect.and_then(|effect| effect.data.clone()),
            send_no: effect.map(|effect| effect.send_no),
            attempts_left: effect.map(|effect| effect.left),
            decided_at: effect.map(|effect| effect.decided_at),
            due_at: flight.map(|flight| flight.due_at),
            held_by: flight.and_then(|flight| flight.held),
            code: stuck.map(|stuck| stuck.why.name().to_owned()),
            detail: stuck.map(|stuck| stuck.detail.clone()).filter(|detail| !detail.is_empty()),
            ..Self::default()
        }
    }
}

fn some(output: &Value) -> Option<Value> {
    (!output.is_null()).then(|| output.clone())
}

/// The flags that are set, by their names.
pub(super) fn flags(flags: Flags) -> Vec<&'static str> {
    let Flags { needs_attention, awaiting, held, overdue, paused, alarm } = flags;
    [
        (needs_attention, "needs_attention"),
        (awaiting, "awaiting"),
        (held, "held"),
        (overdue, "overdue"),
        (paused, "paused"),
        (alarm, "alarm"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}
