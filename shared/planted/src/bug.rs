//! All bugs that can be planted in code of ours, with their names.
//!
//! Invariant: a name is a kebab-case word or two, and belongs to one bug.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// Engine: a reply that was taken before is taken again.
    DuplicateReply,
    /// Engine: compensation begins with the first step.
    ForwardCompensation,
    /// Engine: a step that is backing off when the saga turns is not undone.
    ForgetsBackingOff,
    /// Engine: asking again does not count on.
    ReusesSendNo,
    /// Engine: a pivot whose outcome is unknown is taken for one that did not happen.
    GuessesPivot,
    /// Engine: an undo names an action of its own epoch.
    OwnEpochUndone,
    /// Engine: a new epoch opens although the old one may still run.
    EpochWithoutFence,
    /// Engine: a step is settled by hand although its effect may still run.
    SettledWithoutFence,
    /// Engine: an undo's data follow what has become known since.
    UndoRenderedAnew,
    /// Participant: an undo that comes before its action leaves no tombstone.
    NoTombstone,
    /// Participant: an undo lays its tombstone over an open row, although the call may be in flight.
    TombstoneOverOpen,
    /// Participant: a command that comes again is done again.
    RunsDuplicates,
    /// Participant: rows are purged below the horizon: its seconds are taken for milliseconds.
    PurgesEarly,
    /// Participant: a command is run although its row may have been purged.
    NeverExpires,
    /// Participant: a command is acknowledged before its effect is committed.
    AcksCommandsEarly,
    /// Orchestrator: a reply is acknowledged before its transition is committed.
    AcksRepliesEarly,
    /// Orchestrator: open commands go out again for every duplicate, not only for redeliveries.
    EchoesDuplicates,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::DuplicateReply,
        Self::ForwardCompensation,
        Self::ForgetsBackingOff,
        Self::ReusesSendNo,
        Self::GuessesPivot,
        Self::OwnEpochUndone,
        Self::EpochWithoutFence,
        Self::SettledWithoutFence,
        Self::UndoRenderedAnew,
        Self::NoTombstone,
        Self::TombstoneOverOpen,
        Self::RunsDuplicates,
        Self::PurgesEarly,
        Self::NeverExpires,
        Self::AcksCommandsEarly,
        Self::AcksRepliesEarly,
        Self::EchoesDuplicates,
    ];

    /// What it is called in an environment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DuplicateReply => "duplicate-reply",
            Self::ForwardCompensation => "forward-compensation",
            Self::ForgetsBackingOff => "forgets-backing-off",
            Self::ReusesSendNo => "reuses-send-no",
            Self::GuessesPivot => "guesses-pivot",
            Self::OwnEpochUndone => "own-epoch-undone",
            Self::EpochWithoutFence => "epoch-without-fence",
            Self::SettledWithoutFence => "settled-without-fence",
            Self::UndoRenderedAnew => "undo-rendered-anew",
            Self::NoTombstone => "no-tombstone",
            Self::TombstoneOverOpen => "tombstone-over-open",
            Self::RunsDuplicates => "runs-duplicates",
            Self::PurgesEarly => "purges-early",
            Self::NeverExpires => "never-expires",
            Self::AcksCommandsEarly => "acks-commands-early",
            Self::AcksRepliesEarly => "acks-replies-early",
            Self::EchoesDuplicates => "echoes-duplicates",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no bug's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name:?} is no bug that can be planted; there are: {}", names())]
pub struct UnknownBug {
    name: String,
}

impl FromStr for Bug {
    type Err = UnknownBug;

    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let found = Self::ALL.into_iter().find(|bug| bug.name() == name);
        found.ok_or_else(|| UnknownBug { name: name.to_owned() })
    }
}

fn names() -> String {
    Bug::ALL.map(Bug::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_found_by_its_name() {
        for bug in Bug::ALL {
            assert_eq!(bug.name().parse(), Ok(bug));
        }
        let unknown = "tombstone".parse::<Bug>().map_err(|error| error.to_string());
        assert!(unknown.is_err_and(|error| error.contains("no-tombstone")));
    }
}
