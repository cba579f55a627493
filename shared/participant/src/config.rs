//! Every limit and interval of the SDK, with its default and the reason for it.

use serde::{Deserialize, Serialize};

/// How a participant works. The defaults are right unless a reason says otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How old a saga may be whose command is still run without an inbox row, in seconds (30 days). It is
    /// the same figure that the orchestrator is configured with: its deadlines must end 72 h earlier.
    pub horizon_s: u64,
    /// How much longer inbox rows live than the horizon, in seconds (72 h: as long as the broker stores
    /// commands).
    pub purge_margin_s: u64,
    /// How often old inbox rows are looked for, in seconds.
    pub purge_interval_s: u64,
    /// How many rows one purging statement deletes at most: small, so that commands need not wait for it.
    pub purge_count_max: u64,
    /// How many commands are handled in one transaction at most.
    pub batch_count_max: usize,
    /// How many handled batches may be on their way to the broker while the next ones are handled.
    pub publishing_batches_max: usize,
    /// First wait after the database refused, in milliseconds; doubled up to `retry_cap_ms`.
    pub retry_initial_ms: u64,
    /// Longest such wait, in milliseconds: well under the broker's `ack_wait`, so that the waiting
    /// messages can be kept alive by progress acknowledgements.
    pub retry_cap_ms: u64,
    /// How long an external call may take before `pending` is answered, in milliseconds: long enough that
    /// a usual payment answers once, short enough that the orchestrator does not ask again meanwhile.
    pub pending_after_ms: u64,
    /// How many external calls are made at the same time.
    pub calls_running_max: usize,
    /// How many external calls, running and waiting, are held in memory; further ones wait in the inbox.
    pub calls_held_max: usize,
    /// How long an external call may take at all, in milliseconds; then its outcome is unknown.
    pub call_timeout_ms: u64,
    /// How long an open row belongs to the process that works on it, in milliseconds; renewed at a third.
    /// What a dead process left behind is taken over by another after this time.
    pub lease_ms: u64,
    /// How often open rows are looked for that are due, in milliseconds.
    pub recover_interval_ms: u64,
    /// How often open rows are looked for while there were none at the last look and this process makes no call, in
    /// milliseconds: what another process has left behind is found that late.
    pub recover_idle_ms: u64,
    /// How many open rows are taken up at once.
    pub recover_count_max: u64,
    /// First wait before an unknown outcome is looked into, in milliseconds; doubled up to
    /// `recover_cap_ms`.
    pub recover_initial_ms: u64,
    /// Longest such wait, in milliseconds: a quarter of the minute in which everything has to settle after an
    /// outage, since the first try after it may still meet a provider that is busy with all the others. How
    /// much is asked at once is bounded by `recover_count_max`, however long the wait.
    pub recover_cap_ms: u64,
    /// How long a shutdown waits for running external calls, in milliseconds.
    pub drain_ms: u64,
    /// How many events are published at once.
    pub event_count_max: u64,
    /// How often unpublished events are looked for when nothing wakes the publisher, in milliseconds.
    pub event_interval_ms: u64,
    /// How long events belong to the process that publishes them, in milliseconds: longer than the
    /// broker takes to say no.
    pub event_lease_ms: u64,
    /// How long published events are kept to be published again if the broker loses them, in seconds.
    pub event_kept_s: u64,
    /// How often the event stream is checked for having been created anew or set back, in milliseconds.
    pub event_watch_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            horizon_s: 30 * 24 * 3600,
            purge_margin_s: 72 * 3600,
            purge_interval_s: 300,
            purge_count_max: 500,
            batch_count_max: 256,
            publishing_batches_max: 4,
            retry_initial_ms: 100,
            retry_cap_ms: 5_000,
            pending_after_ms: 2_000,
            calls_running_max: 64,
            calls_held_max: 1_024,
            call_timeout_ms: 30_000,
            lease_ms: 15_000,
            recover_interval_ms: 1_000,
            recover_idle_ms: 5_000,
            recover_count_max: 64,
            recover_initial_ms: 1_000,
            recover_cap_ms: 15_000,
            drain_ms: 10_000,
            event_count_max: 256,
            event_interval_ms: 1_000,
            event_lease_ms: 30_000,
            event_kept_s: 24 * 3600,
            event_watch_ms: 5_000,
        }
    }
}

/// How a participant's database is connected to.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Pools {
    /// Connections that only read, for HTTP. On PostgreSQL they share the pool of the writers.
    pub readers_max: u32,
    /// Connections that write. On SQLite there is always exactly one, whatever this says.
    pub writers_max: u32,
    /// How long a starting process waits for a database that is starting, too, or that another program holds, in
    /// milliseconds.
    pub connect_timeout_ms: u64,
    /// Longest wait for a connection of the pool, in milliseconds.
    pub acquire_timeout_ms: u64,
    /// Longest wait for SQLite's lock when another program holds it, in milliseconds.
    pub busy_timeout_ms: u64,
    /// Longest statement on PostgreSQL, in milliseconds, so that a forgotten lock cannot hold a batch for
    /// ever.
    pub statement_timeout_ms: u64,
    /// How long this machine carries on a PostgreSQL server's clock before it looks at it again, in milliseconds: a look
    /// costs as much as a small statement, and clocks do not drift apart measurably in a second. 0 looks each time.
    pub clock_kept_ms: u64,
}

impl Default for Pools {
    fn default() -> Self {
        Self {
            readers_max: 4,
            writers_max: 8,
            connect_timeout_ms: 30_000,
            acquire_timeout_ms: 5_000,
            busy_timeout_ms: 5_000,
            statement_timeout_ms: 30_000,
            clock_kept_ms: 1_000,
        }
    }
}
