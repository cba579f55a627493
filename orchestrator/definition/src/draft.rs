//! A definition as far as it could be read: every part that is missing or wrong has been reported and is
//! `None` here, so that the rules can look at the rest.
//!
//! Invariant: a draft without a `None` in a required place, and without a report, is a definition.

use std::collections::BTreeMap;
use std::ops::Range;

use amends_contract::{Address, Token};
use serde_json::Value;

use crate::expression::Path;
use crate::{Retry, StepKind, Template};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
}

impl<T> At<T> {
    pub(crate) const fn new(value: T, span: Range<usize>) -> Self {
        Self { value, span }
    }
}

/// A whole definition.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) name: Option<At<Token>>,
    pub(crate) version: Option<At<u32>>,
    pub(crate) description: Option<String>,
    pub(crate) input_schema: Option<Value>,
    pub(crate) labels: BTreeMap<Token, TemplateDraft>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) retention_ms: u64,
    pub(crate) steps: Vec<StepDraft>,
    pub(crate) on_compensated: Vec<StepDraft>,
}

/// One step.
#[derive(Debug)]
pub(crate) struct StepDraft {
    pub(crate) name: Option<At<Token>>,
    pub(crate) kind: Option<At<StepKind>>,
    pub(crate) call: Option<At<Address>>,
    pub(crate) with: Option<TemplateDraft>,
    pub(crate) undo: UndoDraft,
    pub(crate) retry: Retry,
    pub(crate) resend_after_ms: u64,
    pub(crate) pending_max_ms: Option<u64>,
    pub(crate) after: Option<At<Vec<At<String>>>>,
}

impl StepDraft {
    pub(crate) fn name(&self) -> Option<&Token> {
        self.name.as_ref().map(|name| &name.value)
    }
}

/// How a step says it is undone.
#[derive(Debug)]
pub(crate) enum UndoDraft {
    /// It says nothing.
    Absent,
    /// It says something that could not be read; that has been reported.
    Unreadable,
    /// Not at all.
    None { span: Range<usize>, because: String },
    /// By a command.
    Call { call: At<Address>, with: Option<TemplateDraft>, retry: Retry, resend_after_ms: u64 },
}

/// A template and the paths that its expressions use.
#[derive(Debug)]
pub(crate) struct TemplateDraft {
    /// `None` when any part of it is wrong; the paths of the others are there all the same.
    pub(crate) template: Option<Template>,
    pub(crate) paths: Vec<At<Path>>,
}
