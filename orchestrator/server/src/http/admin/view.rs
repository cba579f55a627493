//! A saga, shown to an operator: what its state says, in words of the definition language.

use std::collections::BTreeMap;

use amends_contract::{
    DefinitionRef, Digest, Direction, EffectId, Json, ORCHESTRATOR, SagaId, StepRef, Timestamp, Token,
};
use amends_definition::{Definition, Step, StepKind, Undo};
use amends_engine::{
    ActionKind, ActionState, Alarm, Failure, Flags, HeldBy, PausedBy, Saga, Status, StepState, Then,
    UndoState,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::core::Definitions;

/// The flag of a saga that this orchestrator leaves untouched. It is no part of the row: another orchestrator
/// may know the definition.
pub(super) const DEFINITION_UNKNOWN: &str = "definition_unknown";

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
    /// Why this orchestrator leaves it untouched: it does not know the definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    definition_unknown: Option<String>,
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
    input: Json,
    /// For search.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Token, String>,
    /// The saga of which it is a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<ParentView>,
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
    /// When it begins; none once it has begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    start_at: Option<Timestamp>,
    /// When it turns backward by itself, or is marked overdue.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deadline_at: Option<Timestamp>,
    /// When it was found overdue, behind the point of no return.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    overdue_at: Option<Timestamp>,
    /// Since when it is paused, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PausedView>,
    /// The signals it waits for.
    awaiting: Vec<AwaitingView>,
    /// Signals that came before their step's turn.
    #[schema(value_type = BTreeMap<String, Object>)]
    signals: BTreeMap<Token, Json>,
    /// What its caller gets; none before it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output: Option<Json>,
    /// Why there is none although it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_error: Option<String>,
    /// The steps in the definition's order, then those of `on_compensated`, then the elements of `for_each` steps.
    steps: Vec<StepView>,
    /// What an operator may do now.
    #[schema(value_type = Vec<String>)]
    allowed: Vec<&'static str>,
}

/// A pause.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PausedView {
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
    /// `operator` for the saga itself, `definition` for all sagas of its definition, or `both`.
    #[schema(value_type = String, example = "operator")]
    by: PausedBy,
}

/// A signal that is waited for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct AwaitingView {
    /// Its name.
    #[schema(value_type = String)]
    signal: Token,
    /// The step that waits for it.
    #[schema(value_type = String)]
    step: StepRef,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// What an operator wants of an effect once its id is closed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct WantedView {
    /// `edit-and-retry` or `settle-step`.
    action: &'static str,
    /// The new data, or what the effect is said to have given back.
    #[schema(value_type = Object)]
    payload: Json,
}

/// The saga of which another one is a step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ParentView {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: SagaId,
    /// The step; of a `for_each` step with its element's number.
    #[schema(value_type = String)]
    step: StepRef,
    /// Whether the saga is the step's action (`do`) or its `undo`.
    #[schema(value_type = String)]
    direction: Direction,
}

impl From<EffectId> for ParentView {
    fn from(effect: EffectId) -> Self {
        Self { id: effect.saga, step: effect.step, direction: effect.direction }
    }
}

/// A step.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct StepView {
    /// Its name; of an element of a `for_each` step with its number, as `ship.3`.
    #[schema(value_type = String)]
    name: StepRef,
    /// The element.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    element: Option<Json>,
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
    /// How it stands: waiting, skipped, spread (over the elements of a list), awaiting (a signal), sent, pending,
    /// backing_off, fencing, succeeded, rejected, cancelled, unknown, undone, nothing_to_undo, stuck, none.
    state: &'static str,
    /// What it gave back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    output: Option<Json>,
    /// Why it was rejected, or is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    /// The same for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// An operator said so; the participant knows nothing of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_hand: bool,
    /// Part of the effect's id; an operator's `edit-and-retry` opens the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u32>,
    /// What an operator wants once the fence in flight has closed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    wanted: Option<WantedView>,
    /// What was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Json>,
    /// The last sending.
    #[serde(skip_serializing_if = "Option::is_none")]
    send_no: Option<u32>,
    /// Attempts that are left before it counts as used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts_left: Option<u32>,
    /// The saga that it is, where a step is another saga.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = "uuid")]
    saga: Option<SagaId>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<Timestamp>,
    /// When it is sent again if nothing is heard, or the wait for the signal is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// What keeps it from being sent: the outage of broker or participant, or concurrency (no place is free).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    held_by: Option<HeldBy>,
    /// The participant whose outage, or pause, that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    away: Option<Token>,
}

impl SagaView {
    /// The saga; with what its definition says of the steps, if that is known here.
    pub(super) fn new(saga: Saga, definitions: &Definitions) -> Self {
        let definition = definitions.get(&saga.definition, saga.digest);
        let definition = definition.as_deref();
        let allowed =
            definition.map(|definition| amends_engine::allowed(&saga, definition)).unwrap_or_default();
        Self {
            status: saga.status(),
            flags: flags(&saga, definitions),
            definition_unknown: definitions.why_unknown(&saga),
            due_at: saga.due_at(),
            awaiting: saga.steps.iter().filter_map(AwaitingView::of).collect(),
            allowed: allowed.iter().map(|action| action.name()).collect(),
            steps: saga.steps.iter().map(|step| StepView::new(saga.id, step, definition)).collect(),
            id: saga.id,
            definition: saga.definition,
            digest: saga.digest,
            failure: saga.failure,
            doubt: saga.doubt,
            input: saga.input,
            labels: saga.labels,
            parent: saga.parent.map(ParentView::from),
            version: saga.version,
            started_at: saga.started_at,
            updated_at: saga.updated_at,
            deadline_at: saga.deadline_at,
            start_at: saga.start_at,
            overdue_at: saga.overdue_at,
            paused: saga.paused.map(|paused| PausedView { since: paused.since, by: paused.by }),
            signals: saga.signals,
            output: some(&saga.output),
            output_error: saga.output_error,
        }
    }
}

impl AwaitingView {
    fn of(step: &StepState) -> Option<Self> {
        let ActionState::Awaiting(awaiting) = &step.action else { return None };
        Some(Self { signal: awaiting.signal.clone(), step: step.reference(), until: awaiting.until })
    }
}

impl From<&Then> for WantedView {
    fn from(then: &Then) -> Self {
        let (action, payload) = match then {
            Then::Retry { data } => (ActionKind::EditAndRetry, data),
            Then::Settle { output } => (ActionKind::SettleStep, output),
        };
        Self { action: action.name(), payload: payload.clone() }
    }
}

impl StepView {
    fn new(saga: SagaId, step: &StepState, definition: Option<&Definition>) -> Self {
        let defined = definition.and_then(|definition| definition.step(&step.name));
        let has_undo = defined.is_none_or(|step| matches!(step.undo, Some(Undo::Call { .. })))
            || !matches!(step.undo, UndoState::None);
        Self {
            name: step.reference(),
            element: some(&step.element),
            kind: defined.map(|step| StepKind::as_str(step.kind)),
            call: defined.map(|step| step.call.to_string()),
            action: EffectView {
                saga: defined.and_then(|defined| child(saga, step, Direction::Forward, defined)),
                away: defined.and_then(|defined| away(step, Direction::Forward, defined)),
                ..EffectView::action(step)
            },
            undo: has_undo.then(|| EffectView {
                saga: defined.and_then(|defined| child(saga, step, Direction::Backward, defined)),
                away: defined.and_then(|defined| away(step, Direction::Backward, defined)),
                ..EffectView::undo(step)
            }),
            alarm: step.alarm,
        }
    }
}

/// The saga that a step's effect is; `None` when a participant does it, or nothing is decided yet.
fn child(saga: SagaId, step: &StepState, direction: Direction, defined: &Step) -> Option<SagaId> {
    let address = match direction {
        Direction::Forward => defined.address(),
        Direction::Backward => defined.undo_address(),
    };
    let effect = step.effect(direction).filter(|effect| effect.send_no > 0)?;
    let id = EffectId { saga, step: step.reference(), direction, epoch: effect.epoch };
    (address?.participant == *ORCHESTRATOR).then(|| SagaId::derived(&id, effect.decided_at))
}

/// Whose absence holds a step's effect.
fn away(step: &StepState, direction: Direction, defined: &Step) -> Option<Token> {
    let held = step.flight(direction).and_then(|flight| flight.held)?;
    let address = match direction {
        Direction::Forward => defined.address(),
        Direction::Backward => defined.undo_address(),
    };
    (held == HeldBy::Participant).then(|| address.map(|address| address.participant.clone()))?
}

impl EffectView {
    fn action(step: &StepState) -> Self {
        let view = Self { state: step.action.name(), ..Self::of(step, Direction::Forward) };
        match &step.action {
            ActionState::Succeeded { output, by_hand } => {
                Self { output: some(output), by_hand: *by_hand, ..view }
            }
            ActionState::Awaiting(awaiting) => Self { due_at: awaiting.until, ..view },
            ActionState::Rejected { code, message } => {
                Self { code: Some(code.clone()), detail: Some(message.clone()), ..view }
            }
            _ => view,
        }
    }

    fn undo(step: &StepState) -> Self {
        let view = Self { state: step.undo.name(), ..Self::of(step, Direction::Backward) };
        match &step.undo {
            UndoState::Undone { output, by_hand } => Self { output: some(output), by_hand: *by_hand, ..view },
            _ => view,
        }
    }

    fn of(step: &StepState, direction: Direction) -> Self {
        let (effect, flight, stuck) = (step.effect(direction), step.flight(direction), step.stuck(direction));
        Self {
            data: effect.and_then(|effect| effect.data.clone()),
            send_no: effect.map(|effect| effect.send_no),
            epoch: effect.map(|effect| effect.epoch),
            wanted: effect.and_then(|effect| effect.then.as_ref()).map(WantedView::from),
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

fn some(output: &Json) -> Option<Json> {
    (!output.is_null()).then(|| output.clone())
}

/// The flags that are set, by their names.
pub(super) fn flags(saga: &Saga, definitions: &Definitions) -> Vec<&'static str> {
    let Flags { needs_attention, awaiting, held, overdue, paused, alarm } = saga.flags();
    let unknown = definitions.why_unknown(saga).is_some();
    [
        (needs_attention || unknown, "needs_attention"),
        (awaiting, "awaiting"),
        (held, "held"),
        (overdue, "overdue"),
        (paused, "paused"),
        (alarm, "alarm"),
        (unknown, DEFINITION_UNKNOWN),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect()
}
