//! The saga state machine, without I/O: an input goes in, a new state and what is to be sent comes out.
//!
//! No clock, no randomness, no map in random order: the same inputs give the same bytes. Time comes in as
//! an argument, the database's.
//!
//! Invariant: a saga changes only by folding the decisions of its journal, so the journal can rebuild it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod fold;
mod input;
mod journal;
mod saga;
mod status;
mod step;
mod transition;

pub use fold::{Misfit, ReplayError, replay};
pub use input::{Input, OperatorAction, ReplyInput};
pub use journal::{Decision, ENGINE_VERSION, JournalEntry};
pub use saga::{Ending, Failure, Phase, Saga, code};
pub use status::{Flags, InvalidStatus, Status};
pub use step::{
    ActionState, Alarm, Ask, Effect, FenceWhy, Flight, StepState, Stuck, StuckWhy, UndoState, Wait,
};
pub use transition::{Error, Ignored, Output, Transition, Verdict};

use amends_contract::{Command, SagaId, Timestamp};
use amends_definition::Definition;

/// Begins a saga: journal entry 1.
///
/// # Errors
/// [`Error::Label`] when a label cannot be evaluated for this input.
pub fn start(
    id: SagaId,
    definition: &Definition,
    input: serde_json::Value,
    now: Timestamp,
) -> Result<Transition, Error> {
    let _ = (id, definition, input, now);
    unimplemented!()
}

/// Takes one input.
///
/// # Errors
/// [`Error`]; the saga is then as it was.
pub fn handle(saga: Saga, input: Input, now: Timestamp, definition: &Definition) -> Result<Transition, Error> {
    let _ = (saga, input, now, definition);
    unimplemented!()
}

/// The commands in flight, as they were last sent: to be published again when it is unsure whether they were.
#[must_use]
pub fn open_commands(saga: &Saga, definition: &Definition) -> Vec<Command> {
    let _ = (saga, definition);
    unimplemented!()
}
