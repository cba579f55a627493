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
    /// What the caller gets when the saga is completed, evaluated once, then.
    pub output: Option<Template>,
    /// The event that starts a saga of this definition.
    pub starts_on: Option<StartsOn>,
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

    /// The signals that its steps await, in the definition's order.
    pub fn signals(&self) -> impl Iterator<Item = &Token> {
        self.steps.iter().chain(&self.on_compensated).filter_map(|step| Some(&step.call.as_await()?.signal))
    }

    /// Compiles the schemas of the steps' commands and replies into checks. This crate cannot: it is pure,
    /// and validators are not.
    ///
    /// # Errors
    /// What `compile` says to the first schema that is none, with the step's name before it.
    pub fn with_checks(mut self, compile: &dyn Fn(&Value) -> Result<Check, String>) -> Result<Self, String> {
        for step in self.steps.iter_mut().chain(&mut self.on_compensated) {
            for schema in [&mut step.command_schema, &mut step.reply_schema] {
                let Some(schema) = schema else { continue };
                let check = compile(&schema.schema).map_err(|why| format!("step {}: {why}", step.name))?;
                schema.check = Some(check);
            }
        }
        Ok(self)
    }
}

/// The event that starts sagas.
#[derive(Clone, Debug)]
pub struct StartsOn {
    /// What it happens to, such as `cart`.
    pub entity: Token,
    /// What happens, such as `checked-out`.
    pub name: Token,
    /// The saga's input, evaluated with `event` in scope.
    pub input: Template,
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
    /// What it does.
    pub call: Call,
    /// The command's data, evaluated once, when the step is decided.
    pub with: Template,
    /// The step is skipped unless this is true; evaluated once, when its turn comes.
    pub when: Option<Template>,
    /// It runs once for each element of a list.
    pub for_each: Option<ForEach>,
    /// At most so many of it are in flight over all sagas.
    pub concurrency: Option<u32>,
    /// What the command's data have to match.
    pub command_schema: Option<Schema>,
    /// What the output has to match.
    pub reply_schema: Option<Schema>,
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

impl Step {
    /// Whom it asks for what; `None` when it waits for a signal.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        self.call.address()
    }

    /// Whom its undo asks for what; `None` when it has no undo.
    #[must_use]
    pub const fn undo_address(&self) -> Option<&Address> {
        match &self.undo {
            Some(Undo::Call { call, .. }) => call.address(),
            _ => None,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Asks a participant.
    Command(Address),
    /// Runs another saga to its end. The orchestrator answers for it as a participant would.
    Saga(ChildSaga),
    /// Waits for a signal.
    Await(Await),
}

impl Call {
    /// Whom it asks for what; `None` when it waits for a signal.
    #[must_use]
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Command(address) | Self::Saga(ChildSaga { address, .. }) => Some(address),
            Self::Await(_) => None,
        }
    }

    /// The signal that it waits for, if it does.
    #[must_use]
    pub const fn as_await(&self) -> Option<&Await> {
        match self {
            Self::Await(signal) => Some(signal),
            Self::Command(_) | Self::Saga(_) => None,
        }
    }
}

/// As a definition writes it in short: `inventory.reserve-stock`, `saga return-order`, `await approval`.
impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(address) => fmt::Display::fmt(address, f),
            Self::Saga(child) => write!(f, "saga {}", child.address.command),
            Self::Await(signal) => write!(f, "await {}", signal.signal),
        }
    }
}

/// Another saga as a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildSaga {
    /// `orchestrator.<name of its definition>`.
    pub address: Address,
    /// Its version; `None` takes the newest there is when it starts.
    pub version: Option<u32>,
}

/// Waiting for a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Await {
    /// Its name.
    pub signal: Token,
    /// How long, in milliseconds; `None` waits until the saga's deadline.
    pub timeout_ms: Option<u64>,
    /// What happens then.
    pub on_timeout: OnTimeout,
}

/// What happens when a signal does not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// The saga turns backward.
    Compensate,
    /// It goes on, with `null` for the step's output.
    GoOn,
}

/// Running a step once for each element of a list.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// The list, evaluated once, when the step's turn comes.
    pub list: Template,
    /// What expressions call the element.
    pub name: Token,
    /// Most elements that the list may have.
    pub at_most: u32,
}

/// A JSON Schema (2020-12) inside of a definition.
#[derive(Clone, Debug)]
pub struct Schema {
    /// As it was read.
    pub schema: Value,
    /// The same, compiled; see [`Definition::with_checks`].
    pub check: Option<Check>,
}

impl Schema {
    /// What is wrong with the value; nothing as long as the schema is not compiled.
    ///
    /// # Errors
    /// For people: where the value breaks the schema, and how.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.check.as_ref().map_or(Ok(()), |check| (check.0)(value))
    }
}

/// A compiled schema: a pure function of the value.
#[derive(Clone)]
pub struct Check(pub Arc<CheckFn>);

/// What a [`Check`] does: `Err` says for people where the value breaks the schema, and how.
pub type CheckFn = dyn Fn(&Value) -> Result<(), String> + Send + Sync;

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Check")
    }
}

/// How a step is undone.
#[derive(Clone, Debug)]
pub enum Undo {
    /// Not at all.
    None {
        /// Why that is right.
        because: String,
    },
    /// By a command to the same participant, or by another saga if the step is one.
    Call {
        /// What undoes it.
        call: Call,
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
