//! The auditor: does everything hold that a saga promises, over all databases, the provider's own books,
//! the mail server and the streams?
//!
//! It believes no service about another, and derives what should be from each saga's journal, so that it
//! needs to know no definition beforehand. It reads in pages, beside running services: what moves on
//! meanwhile is read again, and what can only be said of a saga that has ended is said of no other.
//!
//! Invariant: it only reads, and a finding is never something that merely was not finished yet.
//!
//! ```no_run
//! use amends_audit::{Audit, Expectations, Sources};
//!
//! # async fn run() -> Result<(), amends_audit::Error> {
//! let sources = Sources {
//!     inventory: Some("sqlite://amends-data/inventory.db".to_owned()),
//!     ..Sources::of_orchestrator("sqlite://amends-data/orchestrator.db")
//! };
//! let report = Audit::open(sources).await?.run(&Expectations::default()).await?;
//! assert!(report.is_clean(), "{report}");
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod audit;
mod case;
mod checks;
mod commands;
mod counters;
mod database;
mod entity;
mod error;
mod expectations;
mod invariant;
mod journey;
mod keys;
mod letters;
mod mails;
mod records;
mod report;
mod sagas;
mod sources;
mod stock;
mod streams;
mod usage;

pub use audit::Audit;
pub use counters::Counters;
pub use database::{now as database_clock, open as open_read_only};
pub use error::Error;
pub use expectations::{Expectations, Injected};
pub use invariant::Invariant;
pub use report::{Finding, Report};
pub use sources::{Other, Sources};
pub use usage::{Sample, Usage};
