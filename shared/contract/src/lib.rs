//! The wire contract: what travels between orchestrator and participants, and what it is called.
//!
//! Pure: no I/O, no clock, no randomness. Every subject, header, stream and attribute name of the
//! project is written here and nowhere else.
//!
//! Invariant: the message body alone is the whole message; headers only help.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod as_text;
mod attributes;
mod batch;
mod command;
mod dead_letter;
mod digest;
mod effect;
mod envelope;
mod event;
mod json;
mod limits;
mod names;
mod reply;
mod time;
mod token;

pub use batch::{Decoded, Part, decode_batch, is_batch};
pub use command::{Address, Command};
pub use dead_letter::{DeadLetter, DeadReason, OfPart, Origin, sift};
pub use digest::{Digest, InvalidDigest};
pub use effect::{DefinitionRef, Direction, EffectId, InvalidId, SagaId, StepRef};
pub use envelope::{BATCH_CONTENT_TYPE, CONTENT_TYPE, DecodeError, Envelope};
pub use event::Event;
pub use json::Json;
pub use limits::{
    BATCH_COUNT_MAX, COMMAND_BYTES_MAX, DATA_DEPTH_MAX, DEAD_BODY_BYTES_MAX, DEAD_ELEMENTS_MAX,
    DEAD_HEADER_BYTES_MAX, ENVELOPE_BYTES_MAX,
};
pub use names::{DEFAULT_PREFIX, FENCE, Names, ORCHESTRATOR, Stream, header};
pub use reply::{Cause, Outcome, Reply};
pub use time::{InvalidTimestamp, Timestamp};
pub use token::{InvalidToken, Token};
