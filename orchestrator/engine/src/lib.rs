//! The saga state machine, without I/O: an input goes in, a new state and what is to be sent comes out.
//!
//! No clock, no randomness, no map in random order: the same inputs give the same bytes. Time comes in as
//! an argument, the database's.
//!
//! Invariant: a saga changes only by folding the decisions of its journal, so the journal can rebuild it.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod attempts;
mod command;
mod data;
mod draft;
mod epoch;
mod events;
mod fold;
mod handle;
mod input;
mod journal;
mod operator;
mod outlook;
mod progress;
mod release;
mod reply;
mod saga;
mod signal;
mod start;
mod status;
mod step;
mod timer;
mod transition;
mod turn;
mod verify;

pub use command::open_commands;
pub use fold::{Misfit, ReplayError, fold, replay};
pub use handle::handle;
pub use input::{ActionKind, Input, OperatorAction, ReplyInput};
pub use journal::{Decision, ENGINE_VERSION, JournalEntry};
pub use operator::{allowed, editable, settleable};
pub use outlook::{Deviation, Divergence, Outlook, foresee};
pub use saga::{Ending, Failure, Paused, PausedBy, Phase, Saga, code};
pub use start::{Begin, start};
pub use status::{Flags, InvalidStatus, Place, Status};
pub use step::{
    ActionState, Alarm, Ask, Awaiting, Effect, FenceWhy, Flight, HeldBy, StepState, Stuck, StuckWhy, Then,
    UndoState, Wait,
};
pub use transition::{Error, Ignored, Output, Transition, Verdict};
pub use verify::{Difference, Illegal, Verified, verify};
