//! The payment participant: charges and refunds, through a provider that is not ours.
//!
//! A charge is an effect outside our database, so every call carries the effect id as idempotency key
//! and is repeated under it until the answer is definite. [`provider`] is a simulated provider to try
//! this against. Invariant: at most one charge and one refund per effect id, whatever is killed, and no
//! more given back than was taken.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod commands;
mod config;
pub mod domain;
mod entity;
pub mod gateway;
mod http;
mod locks;
mod migration;
pub mod provider;
mod run;
mod store;

pub use config::Config;
pub use run::{migrate, migrations, run};
