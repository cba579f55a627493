//! How the provider is reached.

use serde::{Deserialize, Serialize};

/// How the provider is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Base URL; the paths of its API are appended. `amends provider` listens here by default.
    pub url: String,
    /// Longest wait for a connection, in milliseconds. Short: nothing has been asked for yet.
    pub connect_timeout_ms: u64,
    /// Longest wait for a whole answer, in milliseconds. After it the outcome is unknown and the call
    /// is repeated under the same key, so impatience costs a request, never money.
    pub timeout_ms: u64,
    /// Idle connections that are kept.
    pub idle_count_max: usize,
    /// Longest answer that is read, in bytes. Nobody's answer may fill our memory.
    pub answer_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8085".to_owned(),
            connect_timeout_ms: 2_000,
            timeout_ms: 5_000,
            idle_count_max: 64,
            answer_bytes_max: 64 * 1024,
        }
    }
}
