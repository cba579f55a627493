//! What every process needs: configuration, logs, metrics, health, HTTP with problems, shutdown.
//!
//! It knows **no domain**: neither sagas nor participants, neither broker nor store.
//!
//! Invariant: whatever goes wrong in a request leaves as an RFC 9457 problem, and no secret leaves at all.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod config;
mod database;
pub mod health;
pub mod http;
pub mod metrics;
pub mod openapi;
pub mod problem;
mod runtime;
pub mod shutdown;
pub mod telemetry;

pub use database::DatabaseConfig;
pub use health::Health;
pub use http::HttpConfig;
pub use problem::{Json, Path, Problem, Query};
pub use runtime::RuntimeConfig;
pub use telemetry::LogConfig;
