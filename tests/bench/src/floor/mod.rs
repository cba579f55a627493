//! The floor: the smallest honest pipeline for a saga of four steps.
//!
//! One process; the orchestrator and three participants each on a thread with a runtime and a database of
//! their own. It keeps what the product promises of a single message (committed before it is published,
//! published before it is acknowledged, each effect once, all of it on the disk) and nothing else.
//!
//! Invariant: it stands on nothing of the product, and is never made slower to look better.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// What the floor keeps its rows in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// How messages are acknowledged to the broker.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// Each by itself, as the product does.
    Each,
    /// The last of a batch for all before it.
    Batch,
}

/// One run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// What it keeps its rows in.
    #[arg(long, value_enum)]
    pub(crate) database: Database,
    /// How messages are acknowledged.
    #[arg(long, value_enum)]
    pub(crate) acks: Acks,
    /// Sagas that run at once: as one settles, the next one starts.
    #[arg(long, default_value_t = 500)]
    pub(crate) in_flight: usize,
    /// Sagas that are counted.
    #[arg(long)]
    pub(crate) sagas: usize,
    /// Sagas that run first and are not counted.
    #[arg(long, default_value_t = 0)]
    pub(crate) warm_up: usize,
    /// The broker, with nothing of an earlier run in its streams.
    #[arg(long)]
    pub(crate) nats: String,
    /// A PostgreSQL database of its own, over a Unix socket: `postgres:///NAME?host=/FOLDER&user=..`.
    #[arg(long, required_if_eq("database", "postgres"))]
    pub(crate) database_url: Option<String>,
    /// An empty folder for the SQLite files.
    #[arg(long)]
    pub(crate) folder: PathBuf,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) sagas: usize,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// User and system, of this process; the broker and PostgreSQL have theirs.
    pub(crate) cpu_ms_per_saga: f64,
    /// From the start of a saga to the commit that settles it.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) messages_per_saga: f64,
    /// Of all four databases.
    pub(crate) commits: u64,
    pub(crate) peak_rss_kib: u64,
}

/// Runs it to its end and looks through its books.
///
/// # Errors
/// When the broker or a database fails, or the books do not balance.
pub(crate) fn run(_arguments: &Arguments) -> anyhow::Result<Report> {
    anyhow::bail!("the floor is not written yet")
}
