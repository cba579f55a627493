//! What an audit is told beforehand: limits with defaults, and what only whoever runs a test can know.
//!
//! Invariant: with the defaults, nothing is a finding that may be right in production.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use amends_contract::{SagaId, Timestamp};

use crate::Usage;

/// What the audit goes by. [`Expectations::default`] is for a system in production, of which nothing is known.
#[derive(Clone, Debug)]
pub struct Expectations {
    /// Only sagas that are not older. The money, the stock and the streams are looked at whole all the same,
    /// except for what belongs to older sagas.
    pub since: Option<Timestamp>,
    /// How far back anything may be due that nobody has taken up, in milliseconds (L3). Twice the longest
    /// lease of any service: whoever died just after taking something up leaves it for one lease, and the
    /// next one may be busy for a while.
    pub lease_ms: u64,
    /// How many sends an effect may take, beside one for each second that it has been open (L5). Retries
    /// begin at 200 ms and double, so no honest effect has more than a handful within its first seconds.
    pub sends_factor: u64,
    /// How old a saga may be of which participants are expected to remember everything, in milliseconds:
    /// their `horizon_s`. What is older may have been purged.
    pub horizon_ms: u64,
    /// Findings of one invariant that are kept; further ones are only counted.
    pub findings_max: usize,
    /// Commands without an inbox row that are kept until a reply explains them. Each takes some 200 bytes.
    pub suspects_max: usize,
    /// Nothing is under way any more (L1): whatever has not ended must be parked, awaiting, held or paused.
    pub settled: bool,
    /// Sagas that callers were told are accepted: each must exist (L1).
    pub accepted: BTreeSet<SagaId>,
    /// Whether these are all sagas there are: one more was started twice (I12).
    pub accepted_is_all: bool,
    /// Sagas that were made up by whoever sent messages by hand: what they did to participants is not held
    /// against the orchestrator.
    pub strangers: BTreeSet<SagaId>,
    /// The mail catcher was never restarted and has forgotten nothing: each mail that was sent is there (I10).
    pub mail_complete: bool,
    /// What was injected; `None` in production, where L4 and the sum of L5 cannot be said.
    pub injected: Option<Injected>,
    /// What the processes used over time (L6).
    pub usage: Vec<Usage>,
}

/// What a test did to the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Injected {
    /// How many dead letters there must be (L4): the poison. A range, since a stream that is wiped takes
    /// poison with it that nobody had read.
    pub poison: RangeInclusive<u64>,
    /// How many faults there were (L5).
    pub faults: u64,
    /// How many sends of each effect one fault explains (L5): one redelivery, and one more by the timer.
    pub sends_per_fault: u64,
}

impl Default for Expectations {
    fn default() -> Self {
        Self {
            since: None,
            lease_ms: 60_000,
            sends_factor: 20,
            horizon_ms: 30 * 24 * 3_600_000,
            findings_max: 1_000,
            suspects_max: 10_000,
            settled: false,
            accepted: BTreeSet::new(),
            accepted_is_all: false,
            strangers: BTreeSet::new(),
            mail_complete: false,
            injected: None,
            usage: Vec::new(),
        }
    }
}

impl Expectations {
    /// For a test whose load has ended and whose faults have stopped: nothing may be under way any more.
    #[must_use]
    pub fn settled() -> Self {
        Self { settled: true, ..Self::default() }
    }

    /// Whether the saga is not too old to be looked at.
    pub(crate) fn looks_at(&self, saga: SagaId) -> bool {
        self.since.is_none_or(|since| saga.made_at() >= since)
    }
}
