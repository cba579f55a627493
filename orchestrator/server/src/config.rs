//! Settings of the orchestrator. Section `orchestrator` of the configuration.

use std::path::PathBuf;

use amends_service::HttpConfig;
use serde::{Deserialize, Serialize};

use crate::core::{LoopsConfig, RetentionConfig};

/// Settings of the orchestrator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The public listener: orders and sagas, for back ends with an API key.
    pub http: HttpConfig,
    /// The operators' listener: admin API, health, metrics. Loopback unless told otherwise.
    pub admin: HttpConfig,
    /// Its database.
    pub database: amends_store::Config,
    /// The folder of saga definitions. What is in the database already is known without it.
    pub definitions: PathBuf,
    /// How old a saga may be whose commands participants still run, in seconds (30 days): the same figure
    /// as their `participant.horizon_s`. A definition whose deadline comes too near to it is refused.
    pub horizon_s: u64,
    /// Whether sagas can be started, listed, inspected and acted on by the subjects `amends.svc.saga.*`. No API
    /// key guards them, but the NATS account's permissions: whoever may publish there may do all of it.
    pub service_subjects: bool,
    /// Limits of the API.
    pub api: ApiConfig,
    /// Limits of the loops.
    pub loops: LoopsConfig,
    /// How sagas are deleted whose time is over. For how long they are kept says each definition.
    pub retention: RetentionConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            http: HttpConfig::on_port(8080),
            admin: HttpConfig::on_port(8081),
            database: amends_store::Config::default(),
            definitions: PathBuf::from("saga-definitions"),
            horizon_s: 30 * 24 * 3600,
            service_subjects: true,
            api: ApiConfig::default(),
            loops: LoopsConfig::default(),
            retention: RetentionConfig::default(),
        }
    }
}

/// Limits of the API.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApiConfig {
    /// Longest wait that `Prefer: wait` gets, in seconds. Shorter than the 60 s after which balancers give
    /// up on a silent request.
    pub wait_max_s: u32,
    /// Rows in one answer of a list unless `limit` says otherwise.
    pub page_count: u32,
    /// Most rows in one answer of a list: some hundred sagas are a few megabytes.
    pub page_count_max: u32,
    /// Least that `Retry-After` says, in seconds. It says in which time what moves will have settled, at the speed of
    /// the last moments, and up to twice as long, so that those who are refused do not come back in step.
    pub retry_after_s: u32,
    /// Most that it says before it is spread, in seconds: when nothing has settled for a moment that tells little
    /// about the next minute.
    pub retry_after_max_s: u32,
    /// Most requests, of both listeners and the service subjects, that wait for the end of their saga (`Prefer: wait`,
    /// `wait_s`); one more is answered at once, with 202. Two thirds of the connections, so that those who do not wait find one.
    pub waits_max: usize,
    /// How long a known (or unknown) API key is remembered, in milliseconds: so long may a revoked key
    /// still open the door, and so often does a busy one cost a query.
    pub key_cache_ms: u64,
    /// Most API keys remembered, right and wrong ones together, so that guessing cannot fill the memory.
    pub key_cache_count_max: usize,
    /// How much of a dead letter's body a list shows, in bytes. A whole body may be half a megabyte.
    pub dead_letter_preview_bytes: usize,
    /// How far from a moment of a saga's journal its messages are looked for, in milliseconds: more than the
    /// clocks of database and broker differ, and than a publish takes.
    pub messages_slack_ms: u64,
    /// Most messages, of all sagas, that are read per stream to find those of one: some hundred thousand take a
    /// second.
    pub messages_scanned_max: u64,
    /// Most requests of the service subjects handled at once; one more is answered 503. More than may wait for
    /// the end of their saga, so that the others find room.
    pub service_requests_max: usize,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            wait_max_s: 30,
            page_count: 50,
            page_count_max: 200,
            retry_after_s: 1,
            retry_after_max_s: 10,
            waits_max: 600,
            key_cache_ms: 2_000,
            key_cache_count_max: 10_000,
            dead_letter_preview_bytes: 1_024,
            messages_slack_ms: 10_000,
            messages_scanned_max: 200_000,
            service_requests_max: 1_024,
        }
    }
}
