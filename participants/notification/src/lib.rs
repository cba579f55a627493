//! The notification participant: tells people by mail what became of an order, or of its return.
//!
//! Mail cannot be both certain and single. A mail whose fate is unknown is reported as `uncertain` and
//! listed, not sent again by itself. [`catcher`] is a mail server to try this against. Invariant: no
//! message is handed over before the database says `sending`.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod catcher;
mod commands;
mod config;
pub mod domain;
mod entity;
mod http;
mod ledger;
pub mod letter;
mod migration;
mod run;
pub mod smtp;
mod store;

pub use config::{Config, OnUncertain};
pub use run::{migrate, migrations, run};
