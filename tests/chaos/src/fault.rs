//! The faults, each with a name, who can be struck by it, and how long it may last.
//!
//! Invariant: every fault heals: whatever it takes away is given back when it ends.

use crate::plan::Topology;

/// What is done to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// A process is killed with SIGKILL and started again.
    Kill,
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
    /// nats-server is killed and all that `JetStream` has stored is deleted.
    StoreWiped,
    /// nats-server goes back to an older copy of its store.
    StoreRolledBack,
}

/// Faults of one realm are not made at the same time: one would hide the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Realm {
    /// Processes of ours.
    Processes,
    /// The broker and what it stores.
    Broker,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Kill,
        Self::Pause,
        Self::Outage,
        Self::RollingRestart,
        Self::BrokerKilled,
        Self::BrokerPaused,
        Self::StoreWiped,
        Self::StoreRolledBack,
    ];

    /// What the table calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kill => "process killed",
            Self::Pause => "process paused",
            Self::Outage => "service away",
            Self::RollingRestart => "rolling restart",
            Self::BrokerKilled => "broker killed",
            Self::BrokerPaused => "broker paused",
            Self::StoreWiped => "broker's store wiped",
            Self::StoreRolledBack => "broker's store rolled back",
        }
    }

    /// What it disturbs.
    #[must_use]
    pub const fn realm(self) -> Realm {
        match self {
            Self::Kill | Self::Pause | Self::Outage | Self::RollingRestart => Realm::Processes,
            Self::BrokerKilled | Self::BrokerPaused | Self::StoreWiped | Self::StoreRolledBack => {
                Realm::Broker
            }
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
            Self::Outage => participants.to_vec(),
            Self::RollingRestart => vec!["orchestrator"],
            Self::BrokerKilled | Self::BrokerPaused | Self::StoreWiped | Self::StoreRolledBack => {
                vec!["nats-server"]
            }
        }
    }

    /// Shortest and longest duration, in milliseconds.
    #[must_use]
    pub const fn lasts_ms(self) -> (u64, u64) {
        match self {
            Self::Kill | Self::BrokerKilled | Self::StoreWiped => (0, 1_500),
            Self::Pause => (1_000, 9_000),
            Self::Outage => (4_000, 10_000),
            Self::RollingRestart => (0, 1),
            Self::BrokerPaused => (1_000, 7_000),
            Self::StoreRolledBack => (1_000, 5_000),
        }
    }
}
