//! Settings of the store, each with its reason.
//!
//! Invariant: the URL may hold a password, so neither `Debug` nor an error shows it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where the database is and how hard we may lean on it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `sqlite://<path>` or `postgres://user:password@host/database`; a PostgreSQL server on the same
    /// machine is faster over its Unix socket: `postgres:///database?host=/run/postgresql`.
    pub url: String,
    /// PostgreSQL connections that write. The batch loop needs one; timers and housekeeping share the other. The marks of
    /// published events go over one of their own.
    /// More would only make the server prepare the same large statements on each. SQLite has exactly one.
    pub writers_max: u32,
    /// Connections that read: the API's, and the batch loop's.
    pub readers_max: u32,
    /// How long a starting process waits for a PostgreSQL server that is starting, too, or for a SQLite file that
    /// another program holds, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long a caller waits for a free connection before it is told that the database is unavailable,
    /// in milliseconds.
    pub acquire_timeout_ms: u64,
    /// How long a write waits on SQLite while another process writes, in milliseconds. Only short
    /// administrative commands do.
    pub busy_timeout_ms: u64,
    /// How long a PostgreSQL statement may take, in milliseconds: somebody's forgotten lock must not stop
    /// the orchestrator for ever.
    pub statement_timeout_ms: u64,
    /// A PostgreSQL connection that was idle for longer is asked whether it still lives before it is
    /// used, in milliseconds. Asking each time would cost a round trip per statement.
    pub idle_check_ms: u64,
    /// Rows in one multi-row statement; larger batches take several, in the same transaction. It bounds
    /// the memory of one statement.
    pub rows_max: usize,
    /// A saga's whole state is written to its row when it ends, and before that after every so many entries of its
    /// journal; whoever reads it folds the entries behind its state. More make reading a saga dearer, fewer make its
    /// steps dearer. At 1 each step writes the whole.
    pub snapshot_every: u64,
    /// How long the mark that an event is published waits, in milliseconds: on SQLite for a commit to go with, on
    /// PostgreSQL for others. A crash in that time lets the event be published again, and so does another orchestrator
    /// if it is not much less than `loops.event_interval_ms`.
    pub marks_wait_ms: u64,
    /// How long this machine carries on a PostgreSQL server's clock before it looks at it again, in milliseconds: so far
    /// the two may drift apart, and so late is noticed that somebody has set the server's. At 0 each batch asks.
    pub clock_kept_ms: u64,
    /// How often a commit is tried that the database broke off for the sake of another one (deadlock,
    /// serialization failure); nothing of such a try remains.
    pub commit_tries_max: u32,
    /// Rows that housekeeping (pruning, publishing again) touches in one statement, so that it never
    /// holds up the commits for long.
    pub housekeeping_rows_max: u32,
    /// How exact the `last used` of an API key is, in milliseconds. A write per request would cost more
    /// than the request.
    pub key_used_every_ms: u64,
}

impl Config {
    /// The most connections that a process takes.
    #[must_use]
    pub fn connections_max(&self) -> u32 {
        let hasty = if self.url.starts_with("sqlite:") { 0 } else { HASTY_MAX };
        self.writers_max.saturating_add(self.readers_max).saturating_add(hasty)
    }
}

/// PostgreSQL connections over which is written what may be lost: one loop does.
pub(crate) const HASTY_MAX: u32 = 1;

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "sqlite://amends-data/orchestrator.db".to_owned(),
            writers_max: 2,
            readers_max: 6,
            connect_timeout_ms: 30_000,
            acquire_timeout_ms: 5_000,
            busy_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
            idle_check_ms: 10_000,
            rows_max: 256,
            snapshot_every: 16,
            marks_wait_ms: 50,
            clock_kept_ms: 1_000,
            commit_tries_max: 5,
            housekeeping_rows_max: 1_000,
            key_used_every_ms: 60_000,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            url,
            writers_max,
            readers_max,
            connect_timeout_ms,
            acquire_timeout_ms,
            busy_timeout_ms,
            statement_timeout_ms,
            idle_check_ms,
            rows_max,
            snapshot_every,
            marks_wait_ms,
            clock_kept_ms,
            commit_tries_max,
            housekeeping_rows_max,
            key_used_every_ms,
        } = self;
        f.debug_struct("Config")
            .field("url", &without_password(url))
            .field("writers_max", writers_max)
            .field("readers_max", readers_max)
            .field("connect_timeout_ms", connect_timeout_ms)
            .field("acquire_timeout_ms", acquire_timeout_ms)
            .field("busy_timeout_ms", busy_timeout_ms)
            .field("statement_timeout_ms", statement_timeout_ms)
            .field("idle_check_ms", idle_check_ms)
            .field("rows_max", rows_max)
            .field("snapshot_every", snapshot_every)
            .field("marks_wait_ms", marks_wait_ms)
            .field("clock_kept_ms", clock_kept_ms)
            .field("commit_tries_max", commit_tries_max)
            .field("housekeeping_rows_max", housekeeping_rows_max)
            .field("key_used_every_ms", key_used_every_ms)
            .finish()
    }
}

/// The URL as it may be shown: nothing of what stands before the last `@` or after the `?`.
pub(crate) fn without_password(url: &str) -> String {
    let (place, parameters) = match url.split_once('?') {
        Some((place, _)) => (place, "?…"),
        None => (url, ""),
    };
    match (place.split_once("://"), place.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}{parameters}"),
        _ => format!("{place}{parameters}"),
    }
}

/// What a process wants of the database. On SQLite one process at a time may run as the orchestrator;
/// PostgreSQL only tells those who read from the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The orchestrator: refused while another process has it. Creates the database if it is missing.
    Exclusive,
    /// Short administrative writes beside a running orchestrator, such as making an API key. Creates the
    /// database if it is missing.
    Shared,
    /// Reads only, beside a running orchestrator. The database must exist.
    ReadOnly,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in ["postgres://shop:s3cret@db/amends", "postgres://db/amends?password=s3cret&user=shop"] {
            let config = Config { url: url.to_owned(), ..Config::default() };
            let shown = format!("{config:?}");
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(shown.contains("db/amends"), "{shown}");
        }
        assert_eq!(without_password("sqlite://data/x.db"), "sqlite://data/x.db");
    }
}
