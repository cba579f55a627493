//! Deciding a journal again: is every entry what this engine makes of its input?
//!
//! Replaying shows what a journal says; verifying shows that it is right. Entries of an older engine decided
//! by its rules, so they are only folded.
//!
//! Invariant: it ends at the first entry that is not legal, and names it.

use amends_definition::Definition;

use crate::{
    Begin, Decision, ENGINE_VERSION, Error, Ignored, Input, JournalEntry, ReplayError, Saga, Transition,
    Verdict, fold, handle, start,
};

/// A journal that is right.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The saga at its end.
    pub saga: Saga,
    /// Entries that were decided again.
    pub decided: u64,
    /// Entries of an older engine: folded, not decided again.
    pub folded: u64,
}

/// Why a journal is not right.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Illegal {
    /// It is no journal at all.
    #[error("{0}")]
    Journal(#[from] ReplayError),
    /// The engine refuses the input.
    #[error("entry {seq} ({}) cannot be: {why}", told(input))]
    Refused {
        /// The entry.
        seq: u64,
        /// What came in.
        input: Box<Input>,
        /// The engine's reason.
        why: Box<Error>,
    },
    /// The input would change nothing, so it would not stand in the journal.
    #[error("entry {seq} ({}) would not have been written: {}", told(input), why.as_str())]
    Ignored {
        /// The entry.
        seq: u64,
        /// What came in.
        input: Box<Input>,
        /// The engine's reason.
        why: Ignored,
    },
    /// The engine decides otherwise.
    #[error("{0}")]
    Differs(Box<Difference>),
}

/// An entry that this engine would decide otherwise.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "entry {seq} ({}) would be decided otherwise: recorded {}, but it would be {}",
    told(input),
    json(recorded),
    json(decided)
)]
pub struct Difference {
    /// The entry.
    pub seq: u64,
    /// What came in.
    pub input: Input,
    /// What stands there.
    pub recorded: Vec<Decision>,
    /// What the engine makes of it.
    pub decided: Vec<Decision>,
}

impl Illegal {
    /// The entry at which it shows; `None` when there is none.
    #[must_use]
    pub fn seq(&self) -> Option<u64> {
        match self {
            Self::Journal(error) => error.seq(),
            Self::Refused { seq, .. } | Self::Ignored { seq, .. } => Some(*seq),
            Self::Differs(difference) => Some(difference.seq),
        }
    }
}

/// Decides every entry of a whole journal again. `definition` is the one that the saga began with.
///
/// # Errors
/// [`Illegal`] names the first entry that is missing, does not fit, or would be decided otherwise.
pub fn verify(
    entries: impl IntoIterator<Item = JournalEntry>,
    definition: &Definition,
) -> Result<Verified, Illegal> {
    let mut entries = entries.into_iter();
    let first = entries.next().ok_or(ReplayError::Empty)?;
    let mut saga = fold::blank(&first).ok_or(ReplayError::NotAStart)?;
    let (mut decided, mut folded) = (0, 0);
    for entry in std::iter::once(first).chain(entries) {
        fold::check(&saga, &entry)?;
        if entry.engine_version == ENGINE_VERSION {
            decide_again(&saga, &entry, definition)?;
            decided += 1;
        } else {
            folded += 1;
        }
        fold::fold(&mut saga, &entry)?;
    }
    Ok(Verified { saga, decided, folded })
}

fn decide_again(saga: &Saga, entry: &JournalEntry, definition: &Definition) -> Result<(), Illegal> {
    let JournalEntry { seq, input, .. } = entry;
    let again = match again(saga, entry, definition) {
        Ok(transition) => transition,
        Err(why) => {
            return Err(Illegal::Refused { seq: *seq, input: Box::new(input.clone()), why: Box::new(why) });
        }
    };
    if let Verdict::Ignored(why) = again.verdict {
        return Err(Illegal::Ignored { seq: *seq, input: Box::new(input.clone()), why });
    }
    if again.entry.decisions == entry.decisions && again.entry.input == entry.input {
        return Ok(());
    }
    Err(Illegal::Differs(Box::new(Difference {
        seq: *seq,
        input: input.clone(),
        recorded: entry.decisions.clone(),
        decided: again.entry.decisions,
    })))
}

/// What the engine makes of an entry's input.
pub(crate) fn again(saga: &Saga, entry: &JournalEntry, definition: &Definition) -> Result<Transition, Error> {
    match &entry.input {
        Input::Start { .. } if saga.digest != definition.digest => {
            Err(Error::WrongDefinition { expected: saga.digest, found: definition.digest })
        }
        Input::Start { start_at, parent, tombstone, .. } if saga.version == 0 => {
            let (input, parent) = (saga.input.clone(), parent.clone());
            let begin = Begin { input, start_at: *start_at, parent, tombstone: *tombstone };
            start(saga.id, definition, begin, entry.at)
        }
        input => handle(saga.clone(), input.clone(), entry.at, definition),
    }
}

/// The input in a word or two.
fn told(input: &Input) -> String {
    let value = serde_json::to_value(input).unwrap_or_else(|_| unreachable!("JSON can be written"));
    let words = ["/kind", "/effect", "/outcome/outcome", "/name", "/action", "/actor"];
    let words = words.iter().filter_map(|pointer| value.pointer(pointer)?.as_str());
    // An effect without its saga, which whoever reads it knows.
    words.map(|word| word.split_once('/').map_or(word, |(_, rest)| rest)).collect::<Vec<_>>().join(" ")
}

fn json(decisions: &[Decision]) -> String {
    serde_json::to_string(decisions).unwrap_or_else(|_| unreachable!("JSON can be written"))
}
