//! The faults, each with a name, who can be struck by it, and how long it may last.
//!
//! Invariant: every fault heals: whatever it takes away is given back when it ends.

use crate::{
    link::{self, Far},
    plan::Topology,
};

/// What is done to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A process is killed with SIGKILL and started again.
    Kill,
    /// A process dies where its transaction is committed and nobody knows.
    DiesAfterCommit,
    /// A process dies before it publishes what it has committed.
    DiesBeforePublish,
    /// A process dies when the broker has its messages, and before it knows.
    DiesAfterPublish,
    /// A process dies before it acknowledges what it has dealt with.
    DiesBeforeAck,
    /// A process dies with a batch that is not committed.
    DiesMidBatch,
    /// A process stands still (SIGSTOP), beyond its leases, and goes on (SIGCONT).
    Pause,
    /// A service is gone for a while.
    Outage,
    /// All orchestrators are restarted in turn, in an orderly way.
    RollingRestart,
    /// nats-server is killed and started again with what it has stored.
    BrokerKilled,
    /// nats-server stands still.
    BrokerPaused,
    /// The server of a cluster that leads a stream is killed, and started again with what it has stored.
    LeaderKilled,
    /// One server of a cluster stands still.
    ServerPaused,
    /// nats-server is killed and all that `JetStream` has stored is deleted.
    StoreWiped,
    /// nats-server goes back to an older copy of its store.
    StoreRolledBack,
    /// A stream is deleted while all run.
    StreamDeleted,
    /// A stream is emptied while all run.
    StreamPurged,
    /// The consumers of a stream are deleted while all run.
    ConsumersDeleted,
    /// A link is silent in both directions, for new connections, too.
    Partition,
    /// What a service says does not arrive.
    NothingOut,
    /// What is said to a service does not arrive.
    NothingIn,
    /// Everything on a link is late.
    Delay,
    /// Pieces on a link are held up at random, as lost packets are.
    Loss,
    /// All connections of a link are reset.
    Reset,
    /// The far side of all connections of a link is gone, and the service is not told.
    HalfOpen,
    /// Connections to the database end while they commit: it has the commit, its answer is lost.
    CutCommits,
    /// The newest messages of a stream come again, as new messages.
    Duplicates,
    /// The newest messages of a stream come again in another order.
    Disorder,
    /// Messages vanish from a stream, and come later and in another order.
    HeldBack,
    /// The oldest replies come again: their sagas may have ended long ago.
    OldReplies,
    /// One reply comes hundreds of times.
    ConflictStorm,
    /// What nobody can read, in the midst of what can be read.
    Poison,
    /// PostgreSQL stops at once, and is started again.
    PostgresKilled,
    /// PostgreSQL stands still with all its processes, and goes on.
    PostgresPaused,
    /// All sessions of PostgreSQL are ended.
    SessionsEnded,
    /// Somebody locks a table of PostgreSQL and forgets it.
    TableLocked,
    /// Somebody else writes on SQLite and does not end.
    SqliteLocked,
    /// The disk of all databases and of the broker's store is full.
    DiskFull,
    /// The clock of a process is some seconds off.
    ClockOff,
    /// The provider takes its time.
    ProviderSlow,
    /// The provider charges and does not answer.
    ChargeHangs,
    /// The provider refunds and does not answer.
    RefundHangs,
    /// The provider fails half of its requests before it does anything.
    ProviderFails,
    /// The provider fails charges for good: a 500 stored under the key.
    StoredFailure,
    /// The provider answers 503 to everything.
    ProviderDown,
    /// The provider declines some cards that are good.
    ProviderDeclines,
}

/// Faults of one realm are not made at the same time: one would hide the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Realm {
    /// Processes of ours.
    Processes,
    /// The broker and what it stores.
    Broker,
    /// The links between processes.
    Network,
    /// The databases.
    Database,
    /// The payment provider.
    Provider,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 46] = [
        Self::Kill,
        Self::DiesAfterCommit,
        Self::DiesBeforePublish,
        Self::DiesAfterPublish,
        Self::DiesBeforeAck,
        Self::DiesMidBatch,
        Self::Pause,
        Self::Outage,
        Self::RollingRestart,
        Self::BrokerKilled,
        Self::BrokerPaused,
        Self::LeaderKilled,
        Self::ServerPaused,
        Self::StoreWiped,
        Self::StoreRolledBack,
        Self::StreamDeleted,
        Self::StreamPurged,
        Self::ConsumersDeleted,
        Self::Partition,
        Self::NothingOut,
        Self::NothingIn,
        Self::Delay,
        Self::Loss,
        Self::Reset,
        Self::HalfOpen,
        Self::CutCommits,
        Self::Duplicates,
        Self::Disorder,
        Self::HeldBack,
        Self::OldReplies,
        Self::ConflictStorm,
        Self::Poison,
        Self::PostgresKilled,
        Self::PostgresPaused,
        Self::SessionsEnded,
        Self::TableLocked,
        Self::SqliteLocked,
        Self::DiskFull,
        Self::ClockOff,
        Self::ProviderSlow,
        Self::ChargeHangs,
        Self::RefundHangs,
        Self::ProviderFails,
        Self::StoredFailure,
        Self::ProviderDown,
        Self::ProviderDeclines,
    ];

    /// What the table calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "process killed",
            Self::DiesAfterCommit => "died after commit",
            Self::DiesBeforePublish => "died before publish",
            Self::DiesAfterPublish => "died after publish",
            Self::DiesBeforeAck => "died before ack",
            Self::DiesMidBatch => "died in mid-batch",
            Self::Pause => "process paused",
            Self::Outage => "service away",
            Self::RollingRestart => "rolling restart",
            Self::BrokerKilled => "broker killed",
            Self::BrokerPaused => "broker paused",
            Self::LeaderKilled => "leader killed",
            Self::ServerPaused => "server of the cluster paused",
            Self::StoreWiped => "broker's store wiped",
            Self::StoreRolledBack => "broker's store rolled back",
            Self::StreamDeleted => "stream deleted",
            Self::StreamPurged => "stream purged",
            Self::ConsumersDeleted => "consumers deleted",
            Self::Partition => "partition",
            Self::NothingOut => "nothing out",
            Self::NothingIn => "nothing in",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Reset => "connections reset",
            Self::HalfOpen => "half-open connections",
            Self::CutCommits => "commits cut",
            Self::Duplicates => "messages doubled",
            Self::Disorder => "messages in disorder",
            Self::HeldBack => "messages held back",
            Self::OldReplies => "old replies again",
            Self::ConflictStorm => "one reply in hundreds",
            Self::Poison => "poison",
            Self::PostgresKilled => "PostgreSQL killed",
            Self::PostgresPaused => "PostgreSQL paused",
            Self::SessionsEnded => "sessions ended",
            Self::TableLocked => "table locked",
            Self::SqliteLocked => "SQLite locked",
            Self::DiskFull => "disk full",
            Self::ClockOff => "clock off",
            Self::ProviderSlow => "provider slow",
            Self::ChargeHangs => "charge without answer",
            Self::RefundHangs => "refund without answer",
            Self::ProviderFails => "provider fails",
            Self::StoredFailure => "failure stored at the provider",
            Self::ProviderDown => "provider down",
            Self::ProviderDeclines => "provider declines",
        }
    }

    /// What it disturbs.
    #[must_use]
    pub const fn realm(self) -> Realm {
        match self {
            Self::Kill
            | Self::DiesAfterCommit
            | Self::DiesBeforePublish
            | Self::DiesAfterPublish
            | Self::DiesBeforeAck
            | Self::DiesMidBatch
            | Self::Pause
            | Self::Outage
            | Self::ClockOff
            | Self::RollingRestart => Realm::Processes,
            Self::BrokerKilled
            | Self::BrokerPaused
            | Self::LeaderKilled
            | Self::ServerPaused
            | Self::StoreWiped
            | Self::StoreRolledBack
            | Self::StreamDeleted
            | Self::StreamPurged
            | Self::ConsumersDeleted
            | Self::Duplicates
            | Self::Disorder
            | Self::HeldBack
            | Self::OldReplies
            | Self::ConflictStorm
            | Self::DiskFull
            | Self::Poison => Realm::Broker,
            Self::Partition
            | Self::NothingOut
            | Self::NothingIn
            | Self::Delay
            | Self::Loss
            | Self::Reset
            | Self::HalfOpen
            | Self::CutCommits => Realm::Network,
            Self::PostgresKilled
            | Self::PostgresPaused
            | Self::SessionsEnded
            | Self::TableLocked
            | Self::SqliteLocked => Realm::Database,
            Self::ProviderSlow
            | Self::ChargeHangs
            | Self::RefundHangs
            | Self::ProviderFails
            | Self::StoredFailure
            | Self::ProviderDown
            | Self::ProviderDeclines => Realm::Provider,
        }
    }

    /// The place in the program where the process dies, for those that need a program with such places.
    #[must_use]
    pub const fn crash_point(self) -> Option<&'static str> {
        match self {
            Self::DiesAfterCommit => Some("after_commit"),
            Self::DiesBeforePublish => Some("before_publish"),
            Self::DiesAfterPublish => Some("after_publish"),
            Self::DiesBeforeAck => Some("before_ack"),
            Self::DiesMidBatch => Some("mid_batch"),
            _ => None,
        }
    }

    /// Who can be struck by it; nobody where it cannot be made.
    #[must_use]
    pub fn targets(self, topology: &Topology) -> Vec<&'static str> {
        let participants = ["inventory", "payment", "notification"];
        let orchestrators = topology.orchestrators();
        match self {
            Self::Kill | Self::Pause => {
                // Each orchestrator counts, and the provider may die as well.
                orchestrators.into_iter().chain(participants).chain(["provider"]).collect()
            }
            Self::DiesAfterCommit
            | Self::DiesBeforePublish
            | Self::DiesAfterPublish
            | Self::DiesBeforeAck
            | Self::DiesMidBatch => orchestrators.into_iter().chain(participants).collect(),
            Self::ClockOff => orchestrators.into_iter().chain(participants).collect(),
            Self::DiskFull if !topology.postgres => vec!["databases and broker"],
            Self::Outage => participants.to_vec(),
            Self::RollingRestart => vec!["orchestrator"],
            Self::BrokerKilled | Self::BrokerPaused | Self::StoreWiped | Self::StoreRolledBack => {
                vec!["nats-server"]
            }
            Self::LeaderKilled if topology.three_brokers => STREAMS[..2].to_vec(),
            Self::ServerPaused if topology.three_brokers => vec!["one of three"],
            Self::StreamDeleted | Self::StreamPurged => STREAMS.to_vec(),
            Self::ConsumersDeleted | Self::Duplicates | Self::Disorder | Self::HeldBack => {
                STREAMS[..2].to_vec()
            }
            Self::OldReplies | Self::ConflictStorm => vec![STREAMS[1]],
            Self::Poison => vec!["commands and replies"],
            Self::Partition
            | Self::NothingOut
            | Self::NothingIn
            | Self::Delay
            | Self::Loss
            | Self::Reset
            | Self::HalfOpen => link::all(topology).map(|link| link.name).collect(),
            Self::CutCommits => {
                link::all(topology).filter(|link| link.to == Far::Database).map(|link| link.name).collect()
            }
            Self::PostgresKilled | Self::PostgresPaused | Self::SessionsEnded if topology.postgres => {
                vec!["PostgreSQL"]
            }
            Self::TableLocked if topology.postgres => TABLES.to_vec(),
            Self::SqliteLocked if !topology.postgres => {
                vec!["orchestrator", "inventory", "payment", "notification"]
            }
            Self::PostgresKilled
            | Self::PostgresPaused
            | Self::SessionsEnded
            | Self::TableLocked
            | Self::SqliteLocked
            | Self::LeaderKilled
            | Self::ServerPaused
            | Self::DiskFull => Vec::new(),
            Self::ProviderSlow
            | Self::ChargeHangs
            | Self::RefundHangs
            | Self::ProviderFails
            | Self::StoredFailure
            | Self::ProviderDown
            | Self::ProviderDeclines => vec!["provider"],
        }
    }

    /// Shortest and longest duration, in milliseconds.
    #[must_use]
    pub const fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::Kill | Self::BrokerKilled | Self::LeaderKilled | Self::StoreWiped => (0, 1_500),
            Self::Pause => (1_000, 9_000),
            Self::DiesAfterCommit
            | Self::DiesBeforePublish
            | Self::DiesAfterPublish
            | Self::DiesBeforeAck
            | Self::DiesMidBatch => (4_000, 8_000),
            Self::DiskFull => (1_000, 5_000),
            Self::ClockOff => (2_000, 6_000),
            Self::Outage => (4_000, 10_000),
            Self::RollingRestart => (0, 1),
            Self::BrokerPaused | Self::ServerPaused | Self::PostgresPaused => (1_000, 7_000),
            Self::StoreRolledBack | Self::HeldBack => (1_000, 5_000),
            Self::Partition | Self::NothingOut | Self::NothingIn | Self::HalfOpen => (1_000, 9_000),
            Self::Delay | Self::Loss => (2_000, 7_000),
            Self::CutCommits | Self::TableLocked | Self::SqliteLocked => (1_000, 7_000),
            Self::PostgresKilled => (0, 3_000),
            Self::StreamDeleted
            | Self::StreamPurged
            | Self::ConsumersDeleted
            | Self::Reset
            | Self::Duplicates
            | Self::Disorder
            | Self::OldReplies
            | Self::ConflictStorm
            | Self::Poison
            | Self::SessionsEnded => (0, 1),
            Self::ProviderSlow
            | Self::ChargeHangs
            | Self::RefundHangs
            | Self::ProviderFails
            | Self::StoredFailure
            | Self::ProviderDown
            | Self::ProviderDeclines => (1_000, 6_000),
        }
    }
}

/// The streams whose messages matter.
const STREAMS: [&str; 3] = ["AMENDS_CMD", "AMENDS_REPLY", "AMENDS_EVENT"];
/// Tables that are locked, by database.
const TABLES: [&str; 4] = ["orchestrator.sagas", "orchestrator.journal", "inventory.inbox", "payment.inbox"];
