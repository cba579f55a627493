//! The limits of the loops that drive sagas.

use serde::{Deserialize, Serialize};

/// Limits of the loops. Every one has a default that suits one small machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoopsConfig {
    /// Most sagas that move at a time, over all orchestrators: commands and replies under way, and starts that
    /// are being committed. One more start is answered 503. Two to three seconds' worth at the speed of one small
    /// machine (2,000 sagas a second): what is accepted settles within that time, however much is asked for. Raise it
    /// with the machines, or where participants take long to answer; what waits for something else does not count.
    pub moving_max: u64,
    /// Milliseconds between two looks at what moves, while sagas are started. Each asks the broker once per
    /// participant; in between every orchestrator knows only its own starts and ends.
    pub moving_interval_ms: u64,
    /// Milliseconds after which a participant that asks for nothing and answers nothing is away, so that what lies
    /// unread before it does not move. Longer than a batch takes under load.
    pub reader_absent_ms: u64,
    /// Most submissions that may wait for the next commit; one more is answered 503. Two seconds' worth at
    /// the speed of one small machine: a longer queue only adds latency.
    pub submissions_max: usize,
    /// Most operator actions and signals that may wait for the next commit when submissions fill their queue: they
    /// are about sagas that were accepted.
    pub actions_max: usize,
    /// Most replies and timers that may wait for the next commit. A full queue stops reading from the
    /// broker, which keeps them for us.
    pub inputs_max: usize,
    /// Most sagas in one commit. Beyond some hundreds a larger batch only adds latency.
    pub batch_count_max: usize,
    /// Bytes of sagas remembered between two of their inputs, roughly; one that is not remembered is read again.
    /// An order takes some 8 KiB while it moves: enough for two thousand of them. 0 turns it off.
    pub recent_bytes_max: usize,
    /// Batches being published while the next one is decided.
    pub publishing_max: usize,
    /// Longest pause, in milliseconds, of the loops that look for due, held and unpublished things while nothing
    /// happens in this process. They know when the next saga is due; only what another process has left
    /// undone is found that late.
    pub idle_interval_ms: u64,
    /// Milliseconds between two looks for sagas whose time has come. It bounds how late a timer fires;
    /// a look costs one indexed query.
    pub timer_interval_ms: u64,
    /// Most sagas claimed by one look.
    pub timer_count_max: u32,
    /// Milliseconds for which a claimed saga is left to its claimer. Longer than any commit takes; after
    /// a crash it is how long the saga waits for another process.
    pub claim_lease_ms: u64,
    /// Milliseconds for which what we know of broker and participants counts as fresh.
    pub conditions_ttl_ms: u64,
    /// Longest wait for the broker's word on that, in milliseconds; whoever it says nothing of is taken for down.
    /// Timers wait meanwhile.
    pub conditions_patience_ms: u64,
    /// Unread replies above which no attempt is burnt: the answer may be among them.
    pub reply_backlog_max: u64,
    /// Milliseconds between two looks whether what held sagas is over. Each costs one indexed query a participant.
    pub release_interval_ms: u64,
    /// Most sagas that are let go at the first look after the end of an outage; each look after it may let go twice
    /// as many. So a participant that has just come back is not knocked over by all that waited for it.
    pub release_count_initial: u32,
    /// Most sagas that are let go at one look.
    pub release_count_max: u32,
    /// Milliseconds between two looks for free places of steps with `concurrency`; a commit that may have
    /// freed one wakes the loop.
    pub place_interval_ms: u64,
    /// Most places of one step that are given at once.
    pub place_count_max: u32,
    /// Milliseconds after which a saga is told again of a place that it was given and does not use: whoever
    /// gave it may have died.
    pub place_retry_ms: u64,
    /// Milliseconds between two looks for events to publish; a commit that writes one wakes the loop.
    pub event_interval_ms: u64,
    /// Milliseconds between two looks whether the broker has lost events.
    pub event_watch_ms: u64,
    /// Most events in one publication.
    pub event_count_max: u32,
    /// Milliseconds for which a caller waits for the end of a saga before the database is asked for it, since another
    /// orchestrator may have ended it. After that it is asked when he has waited for a quarter as long again, and every
    /// 500 at the latest, which is the most that this can be. A look costs one query by keys for all whose sagas have not
    /// gone on in this process just now. On SQLite, where no other process ends sagas, it is every 500 whatever this says.
    pub settled_interval_ms: u64,
    /// Hours for which published events are kept, to be published again when the broker lost them.
    pub event_keep_h: u64,
    /// Milliseconds between two looks at what operators want of whole definitions: so long may a saga begin, or
    /// run on, that another process was told to pause.
    pub pause_interval_ms: u64,
    /// Milliseconds to wait before the database is tried again after it failed.
    pub database_retry_ms: u64,
    /// Milliseconds between two looks for a definition that sagas need and this process does not know:
    /// another process may have stored it since.
    pub definition_interval_ms: u64,
    /// How often one input is tried again after losing to a concurrent commit before its caller is told;
    /// replies and timers go back to where they came from.
    pub conflict_tries_max: u32,
}

impl Default for LoopsConfig {
    fn default() -> Self {
        Self {
            moving_max: 5_000,
            moving_interval_ms: 200,
            reader_absent_ms: 5_000,
            submissions_max: 4096,
            actions_max: 512,
            inputs_max: 4096,
            batch_count_max: 512,
            recent_bytes_max: 16 * 1024 * 1024,
            publishing_max: 4,
            idle_interval_ms: 5_000,
            timer_interval_ms: 200,
            timer_count_max: 512,
            claim_lease_ms: 30_000,
            conditions_ttl_ms: 1_000,
            conditions_patience_ms: 2_000,
            reply_backlog_max: 1_000,
            release_interval_ms: 1_000,
            release_count_initial: 64,
            release_count_max: 1_024,
            place_interval_ms: 500,
            place_count_max: 256,
            place_retry_ms: 5_000,
            event_interval_ms: 1_000,
            event_watch_ms: 5_000,
            event_count_max: 256,
            settled_interval_ms: 50,
            event_keep_h: 24,
            pause_interval_ms: 1_000,
            database_retry_ms: 500,
            definition_interval_ms: 5_000,
            conflict_tries_max: 20,
        }
    }
}
