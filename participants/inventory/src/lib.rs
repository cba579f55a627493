//! The inventory participant: stock per SKU, reservations that are released or become deductions, and
//! returns that bring deducted goods back.
//!
//! Its commands are effects in its own database, so the SDK does all that is hard; what a command
//! means for the stock is [`domain`], without a database. Invariant: `on_hand + deducted = received`,
//! `reserved` is what active reservations hold, and nothing is ever negative.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod commands;
mod config;
pub mod domain;
mod entity;
mod http;
mod locks;
mod migration;
mod restock;
mod run;
mod store;
#[cfg(test)]
mod tests;

pub use config::Config;
pub use run::{migrate, migrations, run};
