//! What one input makes of a saga: its new state, its journal entry, and what is to be sent.

use amends_contract::{Command, Digest, Event, Token};

use crate::{JournalEntry, Saga};

/// The answer of [`start`](crate::start) and [`handle`](crate::handle): data, to be carried out by others.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The saga after the input.
    pub saga: Saga,
    /// What is to be appended to its journal; without meaning when the verdict is `Ignored`.
    pub entry: JournalEntry,
    /// What is to be sent once saga and entry are committed.
    pub outputs: Vec<Output>,
    /// Whether anything changed.
    pub verdict: Verdict,
}

/// Something to be sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// To a participant.
    Send(Command),
    /// To whoever cares.
    Emit(Event),
}

/// Whether an input changed anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Saga and journal entry are to be committed.
    Applied,
    /// Nothing is to be committed: the saga is as it was.
    Ignored(Ignored),
}

/// Why an input changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ignored {
    /// The reply says what is known already.
    Duplicate,
    /// A `failed`, `pending`, `conflict` or `expired` for a sending that is not the last one, or for a
    /// step that is no longer asked for.
    Stale,
    /// The reply contradicts the recorded final outcome. The first one stands.
    Contradiction,
    /// The reply is for an effect that was never asked for.
    NotSent,
    /// The reply is for another saga, or for a step or participant that this one does not have.
    Foreign,
    /// Nothing is due yet.
    NotDue,
    /// What the operator asks for is on its way already.
    Underway,
    /// The saga is paused: its clocks stand still.
    Paused,
}

impl Ignored {
    /// A stable name, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Contradiction => "contradiction",
            Self::NotSent => "not_sent",
            Self::Foreign => "foreign",
            Self::NotDue => "not_due",
            Self::Underway => "underway",
            Self::Paused => "paused",
        }
    }
}

/// Why an input cannot be taken at all. The saga stays as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The operator's action is not legal now.
    #[error("{why}")]
    Refused {
        /// The reason.
        why: String,
        /// Names of the actions that would be legal instead.
        allowed: Vec<String>,
    },
    /// A label of the definition has no value for this input.
    #[error("label {label} has no value: {why}")]
    Label {
        /// Its name.
        label: Token,
        /// What is wrong.
        why: String,
    },
    /// The definition is not the one the saga began with.
    #[error("saga is pinned to the definition with digest {expected}; the one given has {found}")]
    WrongDefinition {
        /// The saga's.
        expected: Digest,
        /// The given one's.
        found: Digest,
    },
    /// A saga starts only once.
    #[error("a saga that exists cannot be started")]
    AlreadyStarted,
    /// The stored saga does not have the steps of its definition.
    #[error("the stored state of the saga does not fit its definition: {0}")]
    Damaged(String),
}
