//! Folding decisions into a saga: the one way in which a saga changes, live and in replay.
//!
//! It decides nothing: every number and moment stands in the decision. So a journal means the same for
//! ever, whatever later engines would decide.

use std::collections::BTreeMap;

use amends_contract::{Direction, Json, SagaId, StepRef, Timestamp};

use crate::{
    ActionState, Ask, Awaiting, Decision, ENGINE_VERSION, Effect, Failure, Flight, HeldBy, Input,
    JournalEntry, Paused, Phase, Saga, StepState, UndoState, Wait,
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

impl ReplayError {
    /// The entry at which it shows; `None` when there is none.
    #[must_use]
    pub const fn seq(&self) -> Option<u64> {
        match self {
            Self::Empty => None,
            Self::NotAStart => Some(1),
            Self::Gap { expected: seq, .. }
            | Self::Foreign { seq, .. }
            | Self::Newer { seq, .. }
            | Self::Misfit { seq, .. } => Some(*seq),
        }
    }
}

/// A decision that does not fit the saga it is folded into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// The saga has no such step.
    #[error("there is no step {0}")]
    NoStep(StepRef),
    /// The decision needs a command in flight, or at least one that was sent.
    #[error("nothing was sent for step {0}")]
    NotSent(StepRef),
    /// The saga is not paused.
    #[error("the saga is not paused")]
    NotPaused,
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
    let Input::Start { definition, digest, input, labels, start_at, parent, .. } = &entry.input else {
        return None;
    };
    Some(Saga {
        id: entry.saga,
        definition: definition.clone(),
        digest: *digest,
        version: 0,
        input: input.clone(),
        labels: labels.clone(),
        parent: parent.clone(),
        started_at: entry.at,
        start_at: *start_at,
        updated_at: entry.at,
        deadline_at: None,
        overdue_at: None,
        paused: None,
        phase: Phase::Forward,
        doubt: None,
        failure: None,
        signals: BTreeMap::new(),
        output: Json::NULL,
        output_error: None,
        steps: Vec::new(),
    })
}

/// Folds the next entry of its journal into a saga.
///
/// # Errors
/// [`ReplayError`] says why the entry does not fit; the saga is then of no use any more.
pub fn fold(saga: &mut Saga, entry: &JournalEntry) -> Result<(), ReplayError> {
    check(saga, entry)?;
    let seq = entry.seq;
    begin(saga, entry.at);
    entry
        .decisions
        .iter()
        .try_for_each(|decision| apply(saga, decision))
        .map_err(|misfit| ReplayError::Misfit { seq, misfit })
}

/// Whether the entry is the one that comes next.
pub(crate) fn check(saga: &Saga, entry: &JournalEntry) -> Result<(), ReplayError> {
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
    Ok(())
}

/// Opens the next version; the decisions of one entry follow.
pub(crate) const fn begin(saga: &mut Saga, at: Timestamp) {
    saga.version += 1;
    saga.updated_at = at;
}

/// Folds one decision. Total over all decisions.
pub(crate) fn apply(saga: &mut Saga, decision: &Decision) -> Result<(), Misfit> {
    match decision {
        Decision::Started { steps, deadline_at } => {
            saga.steps = steps.iter().cloned().map(StepState::new).collect();
            saga.deadline_at = *deadline_at;
        }
        Decision::Begun => saga.start_at = None,
        Decision::Signalled { name, data } => _ = saga.signals.insert(name.clone(), data.clone()),
        // What another wish has stopped already has stood still since then.
        Decision::Paused { by } => {
            let since = saga.paused.as_ref().map_or(saga.updated_at, |paused| paused.since);
            saga.paused = Some(Paused { since, by: *by });
        }
        Decision::Resumed { shift_ms } => return resume(saga, *shift_ms),
        Decision::DeadlineMoved { deadline_at } => saga.deadline_at = Some(*deadline_at),
        Decision::Doubted { failure } => saga.doubt = Some(failure.clone()),
        Decision::Resolved => saga.doubt = None,
        Decision::Turned { failure, undo } => return turn(saga, failure, undo),
        Decision::Overdue => saga.overdue_at = Some(saga.updated_at),
        Decision::Done { ending, output, output_error } => {
            saga.phase = Phase::Done(*ending);
            saga.paused = None;
            (saga.output, saga.output_error) = (output.clone(), output_error.clone());
        }
        Decision::Spread { step: name, elements } => return spread(saga, name, elements),
        Decision::Awaited { step: name, signal, until } => {
            let (signal, until) = (signal.clone(), *until);
            step(saga, name)?.action = ActionState::Awaiting(Awaiting { signal, until });
        }
        Decision::Decided { .. }
        | Decision::Sent { .. }
        | Decision::BackedOff { .. }
        | Decision::Pending { .. }
        | Decision::Held { .. }
        | Decision::Intended { .. }
        | Decision::Dropped { .. } => return sending(saga, decision),
        _ => return outcome(saga, decision),
    }
    Ok(())
}

/// Folds what became of a step.
fn outcome(saga: &mut Saga, decision: &Decision) -> Result<(), Misfit> {
    match decision {
        Decision::Skipped { step: name } => step(saga, name)?.action = ActionState::Skipped,
        Decision::Succeeded { step: name, output, by_hand } => {
            let (output, by_hand) = (output.clone(), *by_hand);
            let step = step(saga, name)?;
            step.action = ActionState::Succeeded { output, by_hand };
            step.action_effect.iter_mut().for_each(|effect| effect.then = None);
        }
        Decision::Rejected { step: name, code, message } => {
            let (code, message) = (code.clone(), message.clone());
            step(saga, name)?.action = ActionState::Rejected { code, message };
        }
        Decision::Cancelled { step: name } => step(saga, name)?.action = ActionState::Cancelled,
        Decision::Unknown { step: name } => {
            let step = step(saga, name)?;
            // Who gave its place back when it got stuck does not take it again, unasked.
            let keeps_place = step.place().is_some();
            step.action_effect.iter_mut().for_each(|effect| effect.limited &= keeps_place);
            step.action = ActionState::Unknown;
        }
        Decision::Undone { step: name, output, by_hand } => {
            let (output, by_hand) = (output.clone(), *by_hand);
            let step = step(saga, name)?;
            step.undo = UndoState::Undone { output, by_hand };
            step.undo_effect.iter_mut().for_each(|effect| effect.then = None);
        }
        Decision::NothingToUndo { step: name } => step(saga, name)?.undo = UndoState::NothingToUndo,
        Decision::Alarmed { step: name, alarm } => step(saga, name)?.alarm = Some(*alarm),
        Decision::Stuck { step: name, effect, at } => match effect {
            Direction::Forward => step(saga, name)?.action = ActionState::Stuck(at.clone()),
            Direction::Backward => step(saga, name)?.undo = UndoState::Stuck(at.clone()),
        },
        Decision::Freed { step: name, effect } => match effect {
            Direction::Forward => step(saga, name)?.action = ActionState::Waiting,
            Direction::Backward => step(saga, name)?.undo = UndoState::Waiting,
        },
        _ => unreachable!("`apply` has folded the others"),
    }
    Ok(())
}

/// Folds what is asked of participants.
fn sending(saga: &mut Saga, decision: &Decision) -> Result<(), Misfit> {
    match decision {
        Decision::Decided { step: name, effect, data, epoch, queued, attempts: left, due_at } => {
            let (decided_at, data) = (saga.updated_at, data.clone());
            let (send_no, held) = if *queued { (0, Some(HeldBy::Concurrency)) } else { (1, None) };
            let flight = Flight { held, ..Flight::new(Ask::Command, *due_at) };
            let step = step(saga, name)?;
            // A new epoch has the place of the old one.
            let limited = *queued || step.effect(*effect).is_some_and(|before| before.limited);
            let left = *left;
            let decided = Effect { epoch: *epoch, decided_at, send_no, left, data, then: None, limited };
            open(step, *effect, decided, flight);
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
        Decision::Pending { step: name, effect, pending_until, due_at } => {
            let flight = flight(step(saga, name)?, *effect)?;
            flight.due_at = due_at.unwrap_or(flight.due_at);
            (flight.wait, flight.pending_until) = (Wait::Pending, *pending_until);
            (flight.held, flight.away) = (None, None);
        }
        Decision::Held { step: name, effect, by, away, due_at, pending_until } => {
            let flight = flight(step(saga, name)?, *effect)?;
            (flight.held, flight.away) = (Some(*by), away.clone());
            (flight.due_at, flight.pending_until) = (*due_at, *pending_until);
        }
        Decision::Intended { step: name, effect: direction, then } => {
            effect(step(saga, name)?, *direction)?.then = Some(then.clone());
        }
        Decision::Dropped { step: name, effect: direction } => {
            effect(step(saga, name)?, *direction)?.then = None;
        }
        _ => unreachable!("`apply` has folded the others"),
    }
    Ok(())
}

fn turn(saga: &mut Saga, failure: &Failure, undo: &[StepRef]) -> Result<(), Misfit> {
    saga.phase = Phase::Backward;
    saga.start_at = None;
    saga.doubt = None;
    saga.failure = Some(failure.clone());
    for name in undo {
        step(saga, name)?.undo = UndoState::Waiting;
    }
    Ok(())
}

fn spread(saga: &mut Saga, name: &StepRef, elements: &[Json]) -> Result<(), Misfit> {
    step(saga, name)?.action = ActionState::Spread;
    for (index, element) in (0..).zip(elements) {
        saga.steps.push(StepState::of_element(name.name.clone(), index, element.clone()));
    }
    Ok(())
}

/// All that was due is moved on by as long as the clocks stood still.
fn resume(saga: &mut Saga, shift_ms: u64) -> Result<(), Misfit> {
    saga.paused.take().ok_or(Misfit::NotPaused)?;
    let shift = |at: &mut Timestamp| *at = at.plus_ms(shift_ms);
    saga.start_at.iter_mut().chain(&mut saga.deadline_at).for_each(shift);
    for step in &mut saga.steps {
        if let ActionState::Awaiting(awaiting) = &mut step.action {
            awaiting.until.iter_mut().for_each(shift);
        }
        for direction in [Direction::Forward, Direction::Backward] {
            if let Ok(flight) = flight(step, direction) {
                shift(&mut flight.due_at);
                flight.pending_until.iter_mut().for_each(shift);
            }
        }
    }
    Ok(())
}

/// An effect is decided, and its command is sent or waits for its place.
fn open(step: &mut StepState, direction: Direction, effect: Effect, flight: Flight) {
    match direction {
        Direction::Forward => step.action_effect = Some(effect),
        Direction::Backward => step.undo_effect = Some(effect),
    }
    put(step, direction, flight);
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

fn step<'a>(saga: &'a mut Saga, name: &StepRef) -> Result<&'a mut StepState, Misfit> {
    let position = saga.position(name).ok_or_else(|| Misfit::NoStep(name.clone()))?;
    Ok(&mut saga.steps[position])
}

fn effect(step: &mut StepState, direction: Direction) -> Result<&mut Effect, Misfit> {
    let reference = step.reference();
    match direction {
        Direction::Forward => step.action_effect.as_mut(),
        Direction::Backward => step.undo_effect.as_mut(),
    }
    .ok_or(Misfit::NotSent(reference))
}

fn flight(step: &mut StepState, direction: Direction) -> Result<&mut Flight, Misfit> {
    let reference = step.reference();
    match (direction, &mut step.action, &mut step.undo) {
        (Direction::Forward, ActionState::InFlight(flight), _)
        | (Direction::Backward, _, UndoState::InFlight(flight)) => Ok(flight),
        _ => Err(Misfit::NotSent(reference)),
    }
}

fn put(step: &mut StepState, direction: Direction, flight: Flight) {
    match direction {
        Direction::Forward => step.action = ActionState::InFlight(flight),
        Direction::Backward => step.undo = UndoState::InFlight(flight),
    }
}
