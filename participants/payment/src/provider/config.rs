//! Settings of the simulated provider: where it listens, where its books lie, how it misbehaves.
//!
//! Every size and wait is a field, so that a test can make any of them small.

use amends_service::{DatabaseConfig, HttpConfig};
use serde::{Deserialize, Serialize};

use super::Switches;

/// Settings of the simulated provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its HTTP listener. Loopback: there is nothing here that strangers should reach.
    pub http: HttpConfig,
    /// Its books: a SQLite database of its own, never the participant's.
    pub database: DatabaseConfig,
    /// How it misbehaves from the start; `PUT /v1/switches` changes it while it runs.
    pub switches: Switches,
    /// How long it holds an answer back that it "forgets" (`tok_timeout`, `timeout_after_charge`), in
    /// milliseconds. Longer than any sane client waits.
    pub hang_ms: u64,
    /// Most charges and refunds settled in one transaction. One disk sync pays for all of them; past a
    /// few hundred there is nothing left to save.
    pub batch_count_max: usize,
    /// Most requests that wait for a transaction; more are told to come back (503), so that a flood
    /// cannot fill the memory.
    pub queue_count_max: usize,
    /// Rows in one answer of a list unless `limit` says otherwise.
    pub page_count: u64,
    /// Most rows in one answer of a list.
    pub page_count_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8085),
            database: DatabaseConfig::at("sqlite://amends-data/provider.db"),
            switches: Switches::default(),
            hang_ms: 60_000,
            batch_count_max: 256,
            queue_count_max: 4_096,
            page_count: 1_000,
            page_count_max: 10_000,
        }
    }
}
