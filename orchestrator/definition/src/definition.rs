//! The model: what a definition file means once it has been checked.
//!
//! Invariant: every value of these types that [`Definition::compile`] returns keeps the rules of the
//! language, so that the engine need not check them again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use amends_contract::{Address, DefinitionRef, Digest, Token};
use serde_json::Value;

use crate::{Diagnostics, Template};

/// A saga's definition: one version of it, pinned by its digest.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The saga's name, such as `order`.
    pub name: Token,
    /// Its version, from 1.
    pub version: u32,
    /// SHA-256 of the source's bytes.
    pub digest: Digest,
    /// The file as it was read.
    pub source: Arc<str>,
    /// What it is for, in a sentence.
    pub description: Option<String>,
    /// The JSON Schema (2020-12) that the input has to match; `None` takes any input.
    pub input_schema: Option<Value>,
    /// Labels for search, evaluated once when a saga starts.
    pub labels: BTreeMap<Token, Template>,
    /// How long after its start a saga turns backward by itself, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// How long a settled saga is kept, in milliseconds.
    pub retention_ms: u64,
    /// The steps, in the order of the file.
    pub steps: Vec<Step>,
    /// The steps that run when everything has been undone, in the order of the file.
    pub on_compensated: Vec<Step>,
}

impl Definition {
    /// Compiles a file. `file_name` is what diagnostics call it; `schemas` gives the text of a schema by
    /// its path as written in the file.
    ///
    /// # Errors
    /// [`Diagnostics`]: everything that is wrong with it, not only the first thing.
    pub fn compile(
        file_name: &str,
        source: &str,
        schemas: &dyn Fn(&str) -> Result<String, String>,
    ) -> Result<Self, Diagnostics> {
        crate::compile::compile(file_name, source, schemas)
    }

    /// Name and version.
    #[must_use]
    pub fn reference(&self) -> DefinitionRef {
        DefinitionRef { name: self.name.clone(), version: self.version }
    }

    /// The step of that name, forward or in `on_compensated`: names are unique over both.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().chain(&self.on_compensated).find(|step| step.name == *name)
    }
}

/// On which side of the point of no return a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepKind {
    /// Before it: can be undone.
    Compensatable,
    /// The point itself.
    Pivot,
    /// After it: succeeds in the end by being tried again.
    Retriable,
}

impl StepKind {
    /// All of them, in the order in which they may stand in a saga.
    pub const ALL: [Self; 3] = [Self::Compensatable, Self::Pivot, Self::Retriable];

    /// How it is written in a definition.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compensatable => "compensatable",
            Self::Pivot => "pivot",
            Self::Retriable => "retriable",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its name, unique in the definition.
    pub name: Token,
    /// On which side of the point of no return it stands.
    pub kind: StepKind,
    /// Whom it asks for what.
    pub call: Address,
    /// The command's data, evaluated once, when the step is decided.
    pub with: Template,
    /// How it is undone: always there on a compensatable step, never on another.
    pub undo: Option<Undo>,
    /// When it is tried again.
    pub retry: Retry,
    /// How long a sent command may stay without any reply before it is sent again, in milliseconds.
    pub resend_after_ms: u64,
    /// How long the participant may answer `pending` before the step is stuck, in milliseconds.
    pub pending_max_ms: Option<u64>,
    /// The steps that come right before it, as indices into the same list; none for the first.
    pub after: Vec<usize>,
}

/// How a step is undone.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Not at all.
    None {
        /// Why that is right.
        because: String,
    },
    /// By a command to the same participant.
    Call {
        /// Whom it asks for what.
        call: Address,
        /// The command's data; `None` carries the data of the action.
        with: Option<Template>,
        /// When it is tried again.
        retry: Retry,
        /// As of a [`Step`], in milliseconds.
        resend_after_ms: u64,
    },
}

/// When a command is sent again after an answer that was not final.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retry {
    /// How many sends may end without a final outcome.
    pub attempts: u32,
    /// The first pause, in milliseconds.
    pub initial_ms: u64,
    /// By how much each pause is longer than the one before.
    pub factor: f64,
    /// The longest pause, in milliseconds.
    pub cap_ms: u64,
    /// Which part of a pause is spread, from 0 to 1.
    pub jitter: f64,
}
