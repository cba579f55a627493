//! The saga: all that is known about one running instance. Its JSON is what a row's `state` keeps.
//!
//! Invariant: it changes only by folding decisions (`fold.rs`), so that the journal alone can rebuild it.
//! Fields that stand at their default are left out of the JSON, for it is written with each transition.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Digest, EffectId, Json, SagaId, StepRef, Timestamp, Token};
use serde::{Deserialize, Serialize};

use crate::StepState;

/// One running instance of a definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saga {
    /// Its identity; carries the moment of its making.
    pub id: SagaId,
    /// Name and version of its definition.
    pub definition: DefinitionRef,
    /// The definition's digest: a saga is only ever driven by the very source it began with.
    pub digest: Digest,
    /// How many inputs it has taken: the length of its journal.
    pub version: u64,
    /// What it was started with.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub input: Json,
    /// For search; fixed at the start.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<Token, String>,
    /// The effect of another saga that it is; its end answers that saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<EffectId>,
    /// When it took its first input.
    pub started_at: Timestamp,
    /// When it took its last input.
    pub updated_at: Timestamp,
    /// When it begins with its first step; `None` once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// When it turns backward if the point of no return is not passed by then. While a participant it
    /// waits for is down, this moment moves on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_at: Option<Timestamp>,
    /// When it was found overdue: its deadline passed behind the point of no return.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_at: Option<Timestamp>,
    /// Set while nothing is sent because somebody stopped it. Replies still count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Where it stands.
    pub phase: Phase,
    /// Why it will turn backward if the pivot in flight turns out not to have happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Failure>,
    /// Why it turned backward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Signals that came before any step awaited them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signals: BTreeMap<Token, Json>,
    /// What its caller gets, once it is completed.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub output: Json,
    /// Why the output could not be evaluated; the saga is completed all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_error: Option<String>,
    /// The definition's steps in its order, then those of `on_compensated`, then the instances of `for_each`
    /// steps as they were made.
    pub steps: Vec<StepState>,
}

/// Who stopped a saga, and since when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Since when its clocks stand still.
    pub since: Timestamp,
    /// By which of its wishes: one does not resume what the other paused.
    #[serde(default, skip_serializing_if = "PausedBy::is_operator")]
    pub by: PausedBy,
}

/// What stopped a saga.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// An operator paused this saga.
    #[default]
    Operator,
    /// An operator paused its whole definition.
    Definition,
    /// Both did: it goes on when both have ended.
    Both,
}

impl PausedBy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(crate) const fn is_operator(&self) -> bool {
        matches!(self, Self::Operator)
    }

    /// Both of these stand beside each other.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::Both }
    }

    /// What is left of a pause when one of its wishes ends.
    pub(crate) fn without(self, ended: Self) -> Option<Self> {
        match (self, ended) {
            (_, Self::Both) | (Self::Operator, Self::Operator) | (Self::Definition, Self::Definition) => None,
            (Self::Operator | Self::Both, Self::Definition) => Some(Self::Operator),
            (Self::Definition | Self::Both, Self::Operator) => Some(Self::Definition),
        }
    }
}

impl Saga {
    /// Whether it never was and never will be; see [`Begin::tombstone`](crate::Begin::tombstone). Nothing
    /// else is cancelled by its first input.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.version == 1
            && self.phase == Phase::Done(Ending::Compensated)
            && self.failure.as_ref().is_some_and(|failure| failure.code == code::CANCELLED)
    }

    /// The step of that name; of a `for_each` step the step itself, not its instances.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&StepState> {
        self.steps.iter().find(|step| step.index.is_none() && step.name == *name)
    }

    /// The step, or the instance of a `for_each` step.
    #[must_use]
    pub fn instance(&self, step: &StepRef) -> Option<&StepState> {
        self.steps.get(self.position(step)?)
    }

    /// The instances of a `for_each` step, in the order of its list.
    pub fn instances<'a>(&'a self, name: &'a Token) -> impl Iterator<Item = &'a StepState> {
        self.steps.iter().filter(move |step| step.index.is_some() && step.name == *name)
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let labels = self.labels.values().map(|value| size_of::<(Token, String)>() + value.len());
        let signals = self.signals.values().map(Json::memory_bytes);
        let steps = self.steps.iter().map(StepState::memory_bytes);
        let parts = labels.chain(signals).chain(steps).sum::<usize>();
        size_of::<Self>() + self.input.memory_bytes() + self.output.memory_bytes() + parts
    }

    pub(crate) fn position(&self, reference: &StepRef) -> Option<usize> {
        self.steps.iter().position(|step| step.index == reference.index && step.name == reference.name)
    }
}

/// Where a saga stands. `Backward` never turns to `Forward` again, and nothing leaves `Done`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Doing its steps.
    Forward,
    /// Undoing them, then doing those of `on_compensated`.
    Backward,
    /// Ended.
    Done(Ending),
}

/// How a saga ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Every step happened.
    Completed,
    /// Whatever may have happened was undone.
    Compensated,
    /// An operator gave it up: what may have happened was neither finished nor undone.
    Abandoned,
}

/// Why a saga turned backward.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed; `None` when no single step did (cancelled, deadline).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Token>,
    /// Stable and machine-readable: a rejection's own code, or one of [`code`].
    pub code: String,
    /// For people.
    pub detail: String,
}

/// The failure codes that are the engine's own.
pub mod code {
    /// The owner or an operator cancelled it.
    pub const CANCELLED: &str = "cancelled";
    /// The deadline passed before the point of no return.
    pub const DEADLINE: &str = "deadline";
    /// A step's attempts were used up without an outcome.
    pub const ATTEMPTS: &str = "attempts";
    /// An expression of the definition could not be evaluated for this input.
    pub const EXPRESSION: &str = "expression";
    /// A command was larger than may be sent.
    pub const TOO_LARGE: &str = "too-large";
    /// A command's data break the step's schema.
    pub const SCHEMA: &str = "schema";
    /// A signal did not come in time.
    pub const TIMEOUT: &str = "timeout";
}
