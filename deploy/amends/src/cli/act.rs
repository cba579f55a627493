//! What operators do to sagas and definitions, as it is typed.
//!
//! Invariant: whatever changes a saga needs a reason; what cannot be taken back needs `--yes` as well.

use std::path::PathBuf;

use amends_contract::{SagaId, StepRef, Timestamp, Token};
use clap::{Args, ValueEnum};

use super::Api;

/// Which saga, and why.
#[derive(Debug, Args)]
pub(crate) struct Why {
    /// The saga's id
    pub(crate) id: SagaId,
    /// Why; it stands in the saga's journal with your key's name
    #[arg(long)]
    pub(crate) reason: String,
    /// The saga after it, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Edit {
    #[command(flatten)]
    pub(crate) why: Why,
    /// The step; of a `for_each` step one element, as `ship.3`
    #[arg(long)]
    pub(crate) step: StepRef,
    /// Which of its effects
    #[arg(long, default_value = "do")]
    pub(crate) effect: Effect,
    /// File with the new data as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) data: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Settle {
    #[command(flatten)]
    pub(crate) why: Why,
    /// The step; of a `for_each` step one element, as `ship.3`
    #[arg(long)]
    pub(crate) step: StepRef,
    /// What is settled: that it was done, or that it was undone
    #[arg(long)]
    pub(crate) effect: Effect,
    /// File with what it gave back as JSON, for the steps behind it; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Abandon {
    #[command(flatten)]
    pub(crate) why: Why,
    /// Yes: end it without finishing or undoing what has happened. It cannot be taken back
    #[arg(long)]
    pub(crate) yes: bool,
}

/// An effect of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Effect {
    /// Its action
    Do,
    /// Its undo
    Undo,
}

impl Effect {
    /// As the API has it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::Undo => "undo",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Signal {
    /// The saga's id
    pub(crate) id: SagaId,
    /// The signal's name in the definition, such as `approval`
    pub(crate) name: Token,
    /// What it says, as JSON; null if left out
    pub(crate) data: Option<String>,
    /// The same out of a file; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    pub(crate) file: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Start {
    /// The definition, `order` for its newest version or `order.v2`
    pub(crate) definition: String,
    /// File with its input as JSON; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// When it shall begin, as 2026-12-01T08:00:00Z; at once if left out
    #[arg(long, value_name = "TIME")]
    pub(crate) start_at: Option<Timestamp>,
    /// Idempotency key: a saga of the same key is started once, however often you try
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DefinitionList {
    #[command(flatten)]
    pub(crate) api: Api,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PauseDefinition {
    #[command(flatten)]
    pub(crate) api: Api,
    /// `order` for all versions of it, or `order.v2`
    pub(crate) name: String,
    /// Why; it stands in the journal of every saga that it is about
    #[arg(long)]
    pub(crate) reason: String,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}
