//! The inventory participant: stock per SKU, reserved for an order, then deducted or released.
//!
//! All its effects are rows of its own database, so the SDK's inbox does all that protects them.
//! Invariant: nothing is negative, `on_hand + deducted = received`, and `reserved` is the sum of the
//! active reservations.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod commands;
mod config;
pub mod domain;
mod entity;
mod http;
mod migration;
mod run;
mod store;

pub use config::Config;
pub use run::{migrate, run};
