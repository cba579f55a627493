//! For tests of participants: a participant without a broker, and a PostgreSQL of the test's own.
//!
//! Compiled with the feature `testing` only. Invariant: what is tested is the real thing, inbox, loops and
//! all; only the broker is played.

#![allow(clippy::panic, reason = "a test may stop with a word")]

mod bench;
mod broker;
mod postgres;

pub use bench::{Bench, command, saga_at, undo_of};
#[cfg(test)]
pub(crate) use broker::Broker as Played;
pub use postgres::Cluster;
