//! Flaws that can be planted in a participant, to prove that a search finds them.
//!
//! Invariant: a participant without any keeps the protocol.

/// One flaw. Each was a counterexample once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Defect {
    /// An undo that comes before its action leaves no tombstone, so that the action runs when it comes.
    NoTombstone,
    /// An undo lays its tombstone over an open row, although the call may be in flight.
    TombstoneOverOpen,
    /// A command that comes again is done again.
    RunsDuplicates,
    /// Rows are purged long before their sagas are too old for their commands to be run.
    PurgesEarly,
    /// A command is run although its row may have been purged.
    NeverExpires,
}

impl Defect {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NoTombstone,
        Self::TombstoneOverOpen,
        Self::RunsDuplicates,
        Self::PurgesEarly,
        Self::NeverExpires,
    ];
}
