//! The orchestrator as a service: loops around the pure engine, REST and admin API.
//!
//! It knows the engine, the store and the broker, and **no participant**.
//!
//! Invariant: whatever it answers or acknowledges is committed first.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod config;
pub mod core;
pub mod http;
pub mod idempotency;
pub mod keys;
pub mod orders;
pub mod plan;
mod run;
pub mod verify;

pub use config::Config;
pub use run::run;
