//! The broker: the only crate that knows NATS.
//!
//! Streams as data, a batched publisher, batched consumers that outlive everything that can happen to a
//! broker, and what an operator wants to know about it. Nothing here reads a message's body.
//!
//! Invariant: the broker is disposable. Whatever it loses is only delayed, since every message can be
//! made again from a database.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admin;
mod broker;
mod bundle;
mod config;
mod connect;
mod consumer;
mod delivery;
mod error;
mod health;
mod inspect;
mod jitter;
mod ledger;
mod link;
pub mod meter;
mod pause;
mod publisher;
mod pull;
mod reconcile;
mod scan;
mod serve;
mod survey;
mod topology;
mod unreadable;

pub use amends_contract::{Names, Stream};
pub use broker::Broker;
pub use config::{Address, Auth, Config, Secret, StreamLimits, Streams, Tls};
pub use consumer::{Consumer, ConsumerSpec, Start};
pub use delivery::Delivery;
pub use error::{Error, PublishError};
pub use health::{Health, Problem, ProblemKind};
pub use inspect::{ConsumerStatus, Probe, StoredMessage, StreamPosition, StreamSummary};
pub use ledger::Stored;
pub use publisher::{Ack, Outgoing, Publisher};
pub use scan::{Scan, ScanFrom, Scanned};
pub use serve::{Answer, Endpoint, Handler, Instance, Request, ServiceSpec};
pub use survey::{AccountFacts, ConsumerFacts, Peer, Permissions, ServerFacts, StreamFacts, Subjects};
pub use topology::Difference;
