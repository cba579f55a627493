//! Settings of one HTTP listener.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::problem::Limits;

/// One HTTP listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// `host:port`; port 0 takes a free one.
    pub listen: String,
    /// Longest request body, in bytes; a longer one is answered 413. Half of the largest command, since
    /// what comes in here goes out in a command with other things beside it.
    pub body_bytes_max: usize,
    /// Longest time for reading a body, in milliseconds, so that slow senders cannot hold requests open.
    pub body_timeout_ms: u64,
    /// How long running requests may take after shutdown was asked for, in milliseconds. Shorter than the
    /// 30 s that container platforms wait before they kill.
    pub drain_timeout_ms: u64,
}

impl HttpConfig {
    /// On a loopback port, with defaults otherwise.
    #[must_use]
    pub fn on_port(port: u16) -> Self {
        Self {
            listen: format!("127.0.0.1:{port}"),
            body_bytes_max: 256 * 1024,
            body_timeout_ms: 10_000,
            drain_timeout_ms: 10_000,
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            body_bytes_max: self.body_bytes_max,
            body_timeout: Duration::from_millis(self.body_timeout_ms),
        }
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self::on_port(0)
    }
}
