//! The SDK for participants: a service says what its commands do, the SDK does each at most once.
//!
//! It keeps the inbox (effect id to recorded reply) in the service's own database, handles commands in
//! batches of one transaction, answers duplicates, late actions, undos before their action and fences
//! without domain code, drives calls to the outside to their outcome, and publishes events from an outbox.
//!
//! Invariant: effect, inbox row and recorded reply are committed together, then the reply is published,
//! then the command is acknowledged. It knows nothing of the orchestrator but the wire contract.
//!
//! ```no_run
//! use amends_contract::{Command, Outcome};
//! use amends_participant::{Config, Database, Handler, HandlerError, Participant, Pools, Work};
//!
//! struct Greet;
//!
//! #[async_trait::async_trait]
//! impl Handler for Greet {
//!     async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
//!         // Write to your tables with `work.db()`; it is committed with the recorded reply, or not at all.
//!         Ok(Outcome::Succeeded { output: serde_json::json!({ "hello": command.data["name"] }).into() })
//!     }
//! }
//!
//! # async fn run(broker: amends_broker::Broker, shutdown: tokio_util::sync::CancellationToken) -> Result<(), amends_participant::Error> {
//! let db = Database::connect("sqlite://greeter.db", &Pools::default()).await?;
//! Participant::new("greeter").on("greet", Greet).run(db, broker, Config::default(), shutdown).await
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod batch;
mod bulk;
mod calls;
mod config;
mod core;
mod database;
mod domain;
mod effects;
mod entity;
mod error;
mod events;
mod external;
mod handler;
mod inbound;
mod inbox;
mod meter;
mod micro;
mod migration;
mod outbox;
mod outcome;
mod participant;
mod post;
mod purge;
mod recover;
mod reply;
pub mod rows;
mod run;
mod runner;
mod settle;
mod step;
mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod work;

pub use config::{Config, Pools};
pub use database::{Database, is_reusable, is_unavailable};
pub use error::Error;
pub use external::{CallOutcome, External, Intent, Prepared};
pub use handler::{BulkHandler, Handler, HandlerError, read_data};
pub use outbox::emit;
pub use participant::{Locks, Participant};
pub use work::{Undone, Work};

pub use sea_orm;
pub use sea_orm_migration;
