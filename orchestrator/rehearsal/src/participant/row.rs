//! A row of the inbox.
//!
//! Invariant: a row that is `Final` or a `Tombstone` has, or never needed, its reply; one that is open
//! keeps the command that asked for it, to answer it later.

use amends_contract::{Cause, Command, Digest, Outcome, Reply};
use amends_inbox::{Known, State};

/// What the inbox keeps of one effect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Where it stands.
    pub state: State,
    /// Digest of type and data; `None` where no command of the effect was seen.
    pub meaning: Option<Digest>,
    /// The recorded reply.
    pub reply: Option<Reply>,
    /// While open: the command, to be answered later.
    pub(super) asked: Option<Asked>,
    /// While open: whether a call to the outside is meant; else it is an undo that waits for its action.
    pub(super) calls: bool,
}

/// A command that is still to be answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) command: Command,
    pub(super) cause: Option<Cause>,
}

impl Row {
    /// Whether its outcome is not known yet.
    #[must_use]
    pub const fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Open | State::Voiding)
    }

    /// Whether it is an undo that waits for the outcome of its action.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Open) && !self.calls
    }

    /// What the rules want to know of it.
    #[must_use]
    pub fn known(&self) -> Known {
        let outcome = self.reply.as_ref().map(|reply| &reply.outcome);
        Known {
            state: self.state,
            meaning: self.meaning,
            succeeded: matches!(outcome, Some(Outcome::Succeeded { .. })),
            waiting: self.is_waiting(),
        }
    }

    pub(super) const fn tombstone() -> Self {
        Self { state: State::Tombstone, meaning: None, reply: None, asked: None, calls: false }
    }

    pub(super) const fn settled(state: State, meaning: Option<Digest>, reply: Reply) -> Self {
        Self { state, meaning, reply: Some(reply), asked: None, calls: false }
    }

    /// An undo that waits for the outcome of its action.
    pub(super) fn waiting(command: &Command, cause: Option<Cause>) -> Self {
        Self { calls: false, ..Self::calling(command, cause) }
    }

    /// A call to the outside that is about to be made.
    pub(super) fn calling(command: &Command, cause: Option<Cause>) -> Self {
        Self {
            state: State::Open,
            meaning: Some(command.meaning()),
            reply: None,
            asked: Some(Asked { command: command.clone(), cause }),
            calls: true,
        }
    }
}
