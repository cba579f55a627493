//! The benchmark: the order saga through real processes, as fast as this machine lets them, and what it costs.
//!
//! Every run ends with the auditor: figures of a run whose books do not balance are worth nothing.
//!
//! Invariant: it reports and judges no speed; it fails only when something is wrong.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark may stop with a word")]
#![allow(clippy::print_stdout, reason = "it is a program for people")]

mod books;
mod copy;
mod door;
mod flood;
mod floor_run;
mod latency;
mod load;
mod measured;
mod meters;
mod ordeal;
mod orders;
pub mod participant;
mod proc;
mod ratios;
mod report;
pub mod run;
mod saga;
mod settings;
mod stored;
mod world;
