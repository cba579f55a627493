//! The words of the reference: what steps are, what can be asked, said and known, and what can happen.
//!
//! Nothing here is the engine's; only so can the two disagree.

/// A step of a definition, as far as it matters here. An element of a `for_each` step is a step of its own,
/// beside the others: `b.0`, `b.1`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) after: &'static [usize],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Can be undone.
    Undoable,
    /// Comes before the point of no return, and stays.
    Kept,
    /// The point of no return.
    Pivot,
    /// Must succeed.
    Must,
    /// Must succeed once all is undone.
    Last,
    /// Waits for a signal; if that does not come in time, the saga turns.
    Signal,
    /// Waits for a signal that need not come.
    Wish,
}

/// How often a step is asked before it counts as used up.
pub(crate) const ATTEMPTS: u32 = 2;

/// What somebody is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// To do it.
    Do,
    /// To make its fate final: the saga's direction hangs on it.
    Fate,
    /// To make its fate final, since nothing can undo it.
    Close,
}

/// Something that was asked and not answered for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) question: Question,
    /// Whether the last sending got an answer that leaves it open.
    pub(crate) heard: Heard,
    /// How many sendings may still end without an outcome.
    pub(crate) left: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Nothing,
    StillFindingOut,
    ItFailed,
    /// It will not go on by itself.
    Refusal(Refusal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Conflict,
    Expired,
    Rejected,
    Cancelled,
}

/// What is known of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nobody was asked.
    Unasked,
    /// It is to be asked for when its turn comes.
    Planned,
    Open(Asked),
    /// A signal is waited for.
    Expected,
    /// It happened.
    Happened,
    /// The participant said no: it never happened and never will.
    Refused,
    /// Its id is closed: it never happened and never will.
    Never,
    /// Nobody asks any more; the undo will settle it.
    GivenUp,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) action: Known,
    pub(crate) undo: Known,
    /// Sendings of the action, and of its undo.
    pub(crate) sendings: (u32, u32),
    /// Its signal came before it was waited for.
    pub(crate) is_signalled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Forward,
    Backward,
    Completed,
    Compensated,
}

/// Why a saga may turn once the pivot's fate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    UsedUp,
    Cancelled,
}

/// What a participant can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Say {
    Succeeded,
    Rejected,
    Cancelled,
    Undone,
    NothingToUndo,
    Failed,
    Pending,
    Conflict,
    Expired,
}

/// What happens to a saga.
#[derive(Clone, Debug)]
pub(crate) enum Happens {
    /// An answer: about which step, its undo or its action, how many sendings ago, what.
    Reply {
        step: usize,
        undo: bool,
        ago: u32,
        say: Say,
    },
    /// All clocks run out.
    Timer,
    /// The signal of that step comes.
    Signal {
        step: usize,
    },
    Cancel,
    RetryNow,
    SkipWait,
    Pause,
    Resume,
}
