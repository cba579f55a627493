//! The broker crate against a real nats-server: what it promises, and what it survives.
//!
//! Every test has a server of its own on a free loopback port, with its store in a temporary folder, and
//! kills it by its process id. Nothing is awaited by time, only by condition.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, missing_docs)]

mod access;
mod consume;
mod fixture;
mod inspect;
mod outages;
mod poison;
mod publish;
mod scan;
mod server;
mod topology;
