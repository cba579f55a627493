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
    /// Most connections at a time; a request on one more is answered 503. Below the 1,024 file
    /// descriptors that a process usually has, since databases and broker need some, too.
    pub connections_max: usize,
    /// Most connections beyond that on which somebody is being refused; further ones wait in the system's queue.
    pub refusals_max: usize,
    /// Most connections that wait until they are taken. The system drops what is more, and whoever asked tries again
    /// only after a second; its own limit (`net.core.somaxconn`) holds, too.
    pub waiting_max: u32,
    /// Longest time for a refusal, in milliseconds.
    pub refusal_timeout_ms: u64,
    /// Most requests at a time; one more is answered 503, unless it asks for the process's health. More than
    /// connections, so that only those who ask for many things on one connection (HTTP/2) meet it.
    pub requests_max: usize,
    /// Longest head of a request, in bytes, and most that is buffered of a connection; a longer head is answered 431.
    pub head_bytes_max: usize,
    /// Longest time for a request's head to arrive, and for an idle connection to be kept, in
    /// milliseconds. Longer than the 60 s for which balancers keep idle connections, so that we are never the
    /// first to close one.
    pub head_timeout_ms: u64,
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
            connections_max: 900,
            waiting_max: 1_024,
            refusals_max: 64,
            refusal_timeout_ms: 2_000,
            requests_max: 1_024,
            head_bytes_max: 64 * 1024,
            head_timeout_ms: 75_000,
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
