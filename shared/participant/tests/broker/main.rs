//! The SDK with a real nats-server, and in processes that die where it hurts most.
//!
//! Every test has a server of its own on a free loopback port. Nothing is awaited by time, only by
//! condition.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod child;
mod crashes;
mod outages;
mod sender;
mod server;
