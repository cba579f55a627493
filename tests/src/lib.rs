//! What the tests of the whole need: real brokers, real databases, real processes to kill, and patience.
//!
//! Everything is started by the tests themselves, on free loopback ports and in temporary folders, and
//! is gone with the test, even with one that was killed.
//!
//! Invariant: nothing here knows the code of the services; they are processes of the one binary, known
//! by their configuration, their REST and the wire. Their databases are the auditor's business.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]

pub mod audit;
mod binary;
pub mod books;
mod broker;
mod client;
mod clock;
pub mod deals;
mod definitions;
mod dice;
mod door;
mod nats_server;
mod patience;
pub mod poison;
mod ports;
mod postgres;
mod process;
mod python;
mod system;
pub mod traffic;
mod wire;

pub use binary::{amends, call, older};
pub use broker::Broker;
pub use client::{Answer, Client};
pub use clock::faketime;
pub use definitions::Definitions;
pub use dice::Dice;
pub use door::Door;
pub use nats_server::NatsServer;
pub use patience::{eventually, eventually_with_progress};
pub use ports::free_port;
pub use postgres::Cluster;
pub use process::{Launch, Process};
pub use python::python_packages;
pub use system::{REPLICAS, SERVICES, System};
pub use wire::Wire;
