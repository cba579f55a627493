//! Which play provokes which bug, and as what it has to be found: its harm first.
//!
//! Invariant: plays that several bugs share stand beside each other, so that each is played without a bug once.

use amends_audit::Invariant::{self, I3, I4, I6, I7, I8, I9, I10, L1, L2, L5};
use amends_planted::Bug;

use super::play::Play;
use super::plays::{
    BY_HAND, CALL_UNDER_WAY, CANCELLED, COPIES, KILLED_AT_A_REPLY, KILLED_AT_WORK, LATE_COMMAND,
    LOST_COMMAND, LOST_REPLY, LOST_REPLY_OF_THE_PIVOT, OTHER_CARD, WAITED_LONG, WAITED_TOO_LONG,
};

/// A bug with what provokes it.
#[derive(Clone, Copy)]
pub(super) struct Plant {
    /// The bug.
    pub(super) bug: Bug,
    /// Whose it is.
    pub(super) whose: &'static str,
    /// What it breaks: each of these has to be found.
    pub(super) found_as: &'static [Invariant],
    pub(super) play: Play,
}

const fn engine(bug: Bug, play: Play, found_as: &'static [Invariant]) -> Plant {
    Plant { bug, whose: "engine", found_as, play }
}

const fn participant(bug: Bug, play: Play, found_as: &'static [Invariant]) -> Plant {
    Plant { bug, whose: "participant", found_as, play }
}

const fn orchestrator(bug: Bug, play: Play, found_as: &'static [Invariant]) -> Plant {
    Plant { bug, whose: "orchestrator", found_as, play }
}

/// All of them.
pub(super) const ALL: &[Plant] = &[
    engine(Bug::ForwardCompensation, CANCELLED, &[I7]),
    engine(Bug::UndoRenderedAnew, CANCELLED, &[I6]),
    participant(Bug::NoTombstone, LATE_COMMAND, &[I4, I8]),
    engine(Bug::ForgetsBackingOff, LATE_COMMAND, &[I4, I7]),
    engine(Bug::EpochWithoutFence, OTHER_CARD, &[I4, I3]),
    engine(Bug::OwnEpochUndone, OTHER_CARD, &[I4, I6]),
    engine(Bug::SettledWithoutFence, BY_HAND, &[I8, I3]),
    participant(Bug::TombstoneOverOpen, CALL_UNDER_WAY, &[I4, I8]),
    engine(Bug::ReusesSendNo, LOST_COMMAND, &[L1, I6]),
    participant(Bug::RunsDuplicates, LOST_REPLY, &[I9]),
    engine(Bug::GuessesPivot, LOST_REPLY_OF_THE_PIVOT, &[I4, I7]),
    participant(Bug::PurgesEarly, WAITED_LONG, &[I4, L2]),
    participant(Bug::NeverExpires, WAITED_TOO_LONG, &[I4, L2]),
    participant(Bug::AcksCommandsEarly, KILLED_AT_WORK, &[I10, L1]),
    orchestrator(Bug::AcksRepliesEarly, KILLED_AT_A_REPLY, &[I10, L1]),
    engine(Bug::DuplicateReply, COPIES, &[I3]),
    orchestrator(Bug::EchoesDuplicates, COPIES, &[L5]),
];
