//! What a run has seen: against vacuity, since a simulation in which nothing happens finds nothing.
//!
//! Invariant: every kind that is counted has a row in the table; whoever runs the whole demands that none is
//! zero.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// How often each thing happened, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters(BTreeMap<&'static str, u64>);

/// What a run of some size must have seen. What only a planted bug shows is not among it.
pub const EXPECTED: &[&str] = &[
    "saga: abandoned",
    "saga: completed",
    "saga: compensated",
    "saga: parked at the end",
    "saga: needed an operator",
    "saga: older than the inbox",
    "broker: acknowledged and lost",
    "broker: ack lost",
    "broker: copies",
    "broker: duplicate within the window",
    "broker: outages",
    "broker: redeliveries",
    "broker: rolled back",
    "broker: wiped",
    "broker: zombies",
    "commit: answers lost",
    "commit: conflicts",
    "commit: database failures",
    "crash: orchestrator, before the commit",
    "crash: orchestrator, after the commit",
    "crash: orchestrator, while publishing",
    "crash: orchestrator, before the ack",
    "crash: participant, before the commit",
    "crash: participant, after the commit",
    "crash: participant, before the ack",
    "engine: duplicate replies",
    "engine: stale replies",
    "engine: late successes",
    "engine: unknown steps",
    "engine: pivots in doubt",
    "engine: held",
    "engine: let go",
    "engine: stuck",
    "engine: deadlines passed",
    "engine: open commands published again",
    "engine: lists spread",
    "engine: new epochs",
    "engine: operators' wishes behind a fence",
    "engine: pauses",
    "engine: resumed",
    "engine: steps settled by hand",
    "engine: signals taken",
    "engine: signals that never came",
    "engine: steps skipped",
    "fence: cancelled",
    "fence: pending",
    "fence: rejected",
    "fence: succeeded",
    "inbox: cancelled by a tombstone",
    "inbox: expired",
    "inbox: nothing to undo",
    "inbox: open rows",
    "inbox: purged",
    "inbox: repeated",
    "inbox: voiding rows",
    "people: cancels",
    "people: refused",
    "people: retries",
    "people: starts repeated under their key",
    "places: granted",
    "timer: claims",
    "timer: released",
    "timer: resends",
];

impl Counters {
    /// Counts one.
    pub(crate) fn count(&mut self, what: &'static str) {
        self.add(what, 1);
    }

    pub(crate) fn add(&mut self, what: &'static str, count: u64) {
        *self.0.entry(what).or_default() += count;
    }

    /// How often it happened.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or_default()
    }

    /// Takes those of another world, too.
    pub fn absorb(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    /// What should have been seen and was not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        EXPECTED.iter().copied().filter(|what| self.of(what) == 0).collect()
    }

    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (what, count) in &self.0 {
            let _ = writeln!(text, "  {what:<46}{count:>12}");
        }
        text
    }
}
