//! The model checker: every interleaving of two orchestrators, a participant, a network that loses,
//! doubles and reorders, clocks that run out and processes that are killed, within stated bounds.
//!
//! It drives `amends_engine::handle` itself and the SDK's own inbox rules; nothing of them is written again.
//!
//! Invariant: what a scene leaves out, its bounds say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]

mod breach;
mod check;
mod fair;
mod mail;
mod orchestrator;
mod pool;
mod properties;
mod scene;
pub mod scenes;
mod service;
mod state;
mod world;

pub use breach::{Breach, Breaches};
pub use check::{Checked, check, search};
pub use mail::{Mail, Message};
pub use orchestrator::{Clock, Decided, Row, Stimulus, Wish};
pub use scene::{Answers, Flaw, Grain, Scene};
pub use service::{Event, How, Service};
pub use state::{Act, Process, State};
pub use world::World;
