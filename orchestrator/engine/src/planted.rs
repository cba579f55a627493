//! Bugs that can be planted here, to prove that the simulation and the model checker find them.
//!
//! Each was a counterexample when the rules were made. A hook reads `if planted(Bug::X)`, and without the
//! cargo feature it is a constant: what ships has no such switch.
//!
//! Invariant: a bug is planted in one thread, for as long as its guard lives.

/// One bug of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bug {
    /// A reply that was taken before is taken again.
    DuplicateReply,
    /// Compensation begins with the first step.
    ForwardCompensation,
    /// A step that is backing off when the saga turns is not undone.
    ForgetsBackingOff,
    /// Asking again does not count on.
    ReusesSendNo,
    /// A pivot whose outcome is unknown is taken for one that did not happen.
    GuessesPivot,
    /// An undo names an action of its own epoch.
    OwnEpochUndone,
    /// A new epoch opens although the old one may still run.
    EpochWithoutFence,
    /// A step is settled by hand although its effect may still run.
    SettledWithoutFence,
    /// An undo's data follow what has become known since.
    UndoRenderedAnew,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::DuplicateReply,
        Self::ForwardCompensation,
        Self::ForgetsBackingOff,
        Self::ReusesSendNo,
        Self::GuessesPivot,
        Self::OwnEpochUndone,
        Self::EpochWithoutFence,
        Self::SettledWithoutFence,
        Self::UndoRenderedAnew,
    ];
}

/// Whether the bug is planted; never without the feature.
#[cfg(not(feature = "planted"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub(crate) use active::planted;
#[cfg(feature = "planted")]
pub use active::{Planted, plant};

#[cfg(feature = "planted")]
mod active {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Plants a bug in this thread until the guard is dropped.
    #[must_use]
    pub fn plant(bug: Bug) -> Planted {
        Planted { before: ACTIVE.replace(Some(bug)) }
    }

    /// A planted bug.
    #[derive(Debug)]
    pub struct Planted {
        before: Option<Bug>,
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            ACTIVE.set(self.before);
        }
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }
}
