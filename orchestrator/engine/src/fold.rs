//! Folding decisions into a saga: the one way in which a saga changes, live and in replay.
//!
//! It decides nothing: every number and moment stands in the decision. So a journal means the same for
//! ever, whatever later engines would decide.

use amends_contract::{Direction, SagaId, Timestamp, Token};

use crate::{
    ActionState, Ask, Decision, ENGINE_VERSION, Effect, Failure, Flight, Input, JournalEntry, Phase, Saga,
    StepState, UndoState, Wait,
};

/// Why a journal is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It has no entries.
    #[error("the journal is empty")]
    Empty,
    /// Its first entry does not start a saga.
    #[error("the journal does not begin with a start")]
    NotAStart,
    /// An entry is missing, or there twice.
    #[error("the journal has entry {found} where {expected} belongs")]
    Gap {
        /// The sequence that belongs there.
        expected: u64,
        /// The one that stands there.
        found: u64,
    },
    /// An entry belongs to another saga.
    #[error("entry {seq} belongs to saga {saga}")]
    Foreign {
        /// The entry.
        seq: u64,
        /// Its saga.
        saga: SagaId,
    },
    /// An entry was written by a later engine than this one.
    #[error("entry {seq} was written by engine version {found}; this is {ENGINE_VERSION}")]
    Newer {
        /// The entry.
        seq: u64,
        /// Its engine version.
        found: u32,
    },
    /// A decision does not fit what came before it.
    #[error("entry {seq} does not fit: {misfit}")]
    Misfit {
        /// The entry.
        seq: u64,
        /// What does not fit.
        misfit: Misfit,
    },
}

/// A decision that does not fit the saga it is folded into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The saga has no such step.
    #[error("there is no step {0}")]
    NoStep(Token),
    /// The decision needs a command in flight, or at least one that was sent.
    #[error("nothing was sent for step {0}")]
    NotSent(Token),
}

/// Rebuilds a saga from its whole journal.
///
/// # Errors
/// [`ReplayError`] names the first entry that is missing or does not fit.
pub fn replay(entries: impl IntoIterator<Item = JournalEntry>) -> Result<Saga, ReplayError> {
    let mut entries = entries.into_iter();
    let first = entries.next().ok_or(ReplayError::Empty)?;
    let mut saga = blank(&first).ok_or(ReplayError::NotAStart)?;
    fold(&mut saga, &first)?;
    for entry in entries {
        fold(&mut saga, &entry)?;
    }
    Ok(saga)
}

/// The saga before its first decision; `None` if the entry is no start.
pub(crate) fn blank(entry: &JournalEntry) -> Option<Saga> {
    let Input::Start { definition, digest, input, labels } = &entry.input else { return None };
    Some(Saga {
        id: entry.saga,
        definition: definition.clone(),
        digest: *digest,
        version: 0,
        input: input.clone(),
        labels: labels.clone(),
        started_at: entry.at,
        updated_at: entry.at,
        deadline_at: None,
        overdue_at: None,
        phase: Phase::Forward,
        doubt: None,
        failure: None,
        steps: Vec::new(),
    })
}

fn fold(saga: &mut Saga, entry: &JournalEntry) -> Result<(), ReplayError> {
    let seq = entry.seq;
    if entry.saga != saga.id {
        return Err(ReplayError::Foreign { seq, saga: entry.saga });
    }
    if seq != saga.version + 1 {
        return Err(ReplayError::Gap { expected: saga.version + 1, found: seq });
    }
    if entry.engine_version > ENGINE_VERSION {
        return Err(ReplayError::Newer { seq, found: entry.engine_version });
    }
    begin(saga, entry.at);
    entry
        .decisions
        .iter()
        .try_for_each(|decision| apply(saga, decision))
        .map_err(|misfit| ReplayError::Misfit { seq, misfit })
}

/// Opens the next version; the decisions of one entry follow.
pub(crate) const fn begin(saga: &mut Saga, at: Timestamp) {
    saga.version += 1;
    saga.updated_at = at;
}

/// Folds one decision. Total over all decisions.
pub(crate) fn apply(saga: &mut Saga, decision: &Decision) -> Result<(), Misfit> {
    use Direction::{Backward, Forward};
    match decision {
        Decision::Started { steps, deadline_at } => {
            saga.steps = steps.iter().cloned().map(StepState::new).collect();
            saga.deadline_at = *deadline_at;
        }
        Decision::DeadlineMoved { deadline_at } => saga.deadline_at = Some(*deadline_at),
        Decision::Doubted { failure } => saga.doubt = Some(failure.clone()),
        Decision::Resolved => saga.doubt = None,
        Decision::Turned { failure, undo } => return turn(saga, failure, undo),
        Decision::Overdue => saga.overdue_at = Some(saga.updated_at),
        Decision::Done { ending } => saga.phase = Phase::Done(*ending),

        Decision::Succeeded { step: name, output } => {
            step(saga, name)?.action = ActionState::Succeeded { output: output.clone() };
        }
        Decision::Rejected { step: name, code, message } => {
            let (code, message) = (code.clone(), message.clone());
            step(saga, name)?.action = ActionState::Rejected { code, message };
        }
        Decision::Cancelled { step: name } => step(saga, name)?.action = ActionState::Cancelled,
        Decision::Unknown { step: name } => step(saga, name)?.action = ActionState::Unknown,
        Decision::Undone { step: name, output } => {
            step(saga, name)?.undo = UndoState::Undone { output: output.clone() };
        }
        Decision::NothingToUndo { step: name } => step(saga, name)?.undo = UndoState::NothingToUndo,
        Decision::Alarmed { step: name, alarm } => step(saga, name)?.alarm = Some(*alarm),
        Decision::Stuck { step: name, effect, at } => match effect {
            Forward => step(saga, name)?.action = ActionState::Stuck(at.clone()),
            Backward => step(saga, name)?.undo = UndoState::Stuck(at.clone()),
        },
        Decision::Freed { step: name, effect } => match effect {
            Forward => step(saga, name)?.action = ActionState::Waiting,
            Backward => step(saga, name)?.undo = UndoState::Waiting,
        },

        Decision::Decided { step: name, effect, data, attempts: left, due_at } => {
            let (decided_at, data) = (saga.updated_at, data.clone());
            let decided = Effect { epoch: 1, decided_at, send_no: 1, left: *left, data };
            open(step(saga, name)?, *effect, decided, *due_at);
        }
        Decision::Sent { step: name, effect: direction, send_no, ask, left, due_at } => {
            let step = step(saga, name)?;
            let effect = effect(step, *direction)?;
            (effect.send_no, effect.left) = (*send_no, *left);
            send(step, *direction, Flight::new(*ask, *due_at));
        }
        Decision::BackedOff { step: name, effect: direction, left, due_at, code: _ } => {
            let step = step(saga, name)?;
            effect(step, *direction)?.left = *left;
            let flight = flight(step, *direction)?;
            *flight = Flight { wait: Wait::BackingOff, ..Flight::new(flight.ask, *due_at) };
        }
        Decision::Pending { step: name, effect, pending_until } => {
            let flight = flight(step(saga, name)?, *effect)?;
            (flight.wait, flight.held, flight.pending_until) = (Wait::Pending, None, *pending_until);
        }
        Decision::Held { step: name, effect, by, due_at, pending_until } => {
            let flight = flight(step(saga, name)?, *effect)?;
            (flight.held, flight.due_at, flight.pending_until) = (Some(*by), *due_at, *pending_until);
        }
    }
    Ok(())
}

fn turn(saga: &mut Saga, failure: &Failure, undo: &[Token]) -> Result<(), Misfit> {
    saga.phase = Phase::Backward;
    saga.doubt = None;
    saga.failure = Some(failure.clone());
    for name in undo {
        step(saga, name)?.undo = UndoState::Waiting;
    }
    Ok(())
}

/// An effect is decided, and its command is sent.
fn open(step: &mut StepState, direction: Direction, effect: Effect, due_at: Timestamp) {
    match direction {
        Direction::Forward => step.action_effect = Some(effect),
        Direction::Backward => step.undo_effect = Some(effect),
    }
    put(step, direction, Flight::new(Ask::Command, due_at));
}

/// The same question asked again has been pending for as long as it has; another one starts afresh.
fn send(step: &mut StepState, direction: Direction, mut flight: Flight) {
    if let Some(before) = step.flight(direction)
        && before.ask == flight.ask
    {
        flight.pending_until = before.pending_until;
    }
    put(step, direction, flight);
}

fn step<'a>(saga: &'a mut Saga, name: &Token) -> Result<&'a mut StepState, Misfit> {
    saga.steps.iter_mut().find(|step| step.name == *name).ok_or_else(|| Misfit::NoStep(name.clone()))
}

fn effect(step: &mut StepState, direction: Direction) -> Result<&mut Effect, Misfit> {
    match direction {
        Direction::Forward => step.action_effect.as_mut(),
        Direction::Backward => step.undo_effect.as_mut(),
    }
    .ok_or_else(|| Misfit::NotSent(step.name.clone()))
}

fn flight(step: &mut StepState, direction: Direction) -> Result<&mut Flight, Misfit> {
    match (direction, &mut step.action, &mut step.undo) {
        (Direction::Forward, ActionState::InFlight(flight), _)
        | (Direction::Backward, _, UndoState::InFlight(flight)) => Ok(flight),
        _ => Err(Misfit::NotSent(step.name.clone())),
    }
}

fn put(step: &mut StepState, direction: Direction, flight: Flight) {
    match direction {
        Direction::Forward => step.action = ActionState::InFlight(flight),
        Direction::Backward => step.undo = UndoState::InFlight(flight),
    }
}
