//! The engine's rules as scripts: inputs in, journal text out.
//!
//! Whatever a test does goes through [`script::Script`], and after each input [`witness`] checks what must
//! hold at every moment; so each scenario tests all of the invariants on its way.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]

mod definitions;
mod elements;
mod participants;
mod script;
mod settle;
mod settle_undo;
mod signals;
mod skip_wait;
mod text;
mod verify;
mod witness;

mod abandon;
mod attempts;
mod backward;
mod branches;
mod edits;
mod epochs;
mod every_step;
mod forward;
mod journal;
mod late;
mod operator;
mod outlook;
mod pause;
mod pivot;
mod random;
mod stuck;
mod timers;
mod turns;
