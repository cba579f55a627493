//! A definition as far as it could be read: every part that is missing or wrong has been reported and is
//! `None` here, so that the rules can look at the rest.
//!
//! Invariant: a draft without a `None` in a required place, and without a report, is a definition.

use std::collections::BTreeMap;
use std::ops::Range;

use amends_contract::Token;
use serde_json::Value;

use crate::expression::Path;
use crate::{Call, OnTimeout, Retry, StepKind, Template};

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
    pub(crate) output: Option<TemplateDraft>,
    pub(crate) starts_on: Option<StartsOnDraft>,
}

/// What starts a saga by itself.
#[derive(Debug)]
pub(crate) struct StartsOnDraft {
    /// Entity and past participle.
    pub(crate) event: Option<At<(Token, Token)>>,
    pub(crate) input: Option<TemplateDraft>,
}

/// One step.
#[derive(Debug)]
pub(crate) struct StepDraft {
    pub(crate) name: Option<At<Token>>,
    /// A step that waits may leave it out.
    pub(crate) kind: Option<At<StepKind>>,
    pub(crate) does: Does,
    pub(crate) with: Option<TemplateDraft>,
    pub(crate) when: Option<At<TemplateDraft>>,
    pub(crate) for_each: Option<ForEachDraft>,
    pub(crate) concurrency: Option<u32>,
    pub(crate) command_schema: Option<Value>,
    pub(crate) reply_schema: Option<Value>,
    pub(crate) undo: UndoDraft,
    pub(crate) retry: Retry,
    pub(crate) resend_after_ms: u64,
    pub(crate) pending_max_ms: Option<u64>,
    /// `None` where it says nothing, or nothing readable: it follows the step above.
    pub(crate) after: Option<At<Vec<At<String>>>>,
}

impl StepDraft {
    pub(crate) fn name(&self) -> Option<&Token> {
        self.name.as_ref().map(|name| &name.value)
    }

    /// For messages.
    pub(crate) fn called(&self) -> &str {
        self.name().map_or("this step", Token::as_str)
    }

    pub(crate) fn kind(&self) -> Option<StepKind> {
        self.kind.as_ref().map(|kind| kind.value)
    }

    pub(crate) const fn as_await(&self) -> Option<&AwaitDraft> {
        match &self.does {
            Does::Await(waiting) => Some(waiting),
            Does::Unreadable | Does::Call(_) => None,
        }
    }

    /// Whether it may be passed over, so that its output is null.
    pub(crate) fn may_be_skipped(&self) -> bool {
        let gives_up = |waiting: &AwaitDraft| {
            waiting.on_timeout.as_ref().is_some_and(|on_timeout| on_timeout.value == OnTimeout::GoOn)
        };
        self.when.is_some() || self.as_await().is_some_and(gives_up)
    }
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Does {
    /// It says nothing, or nothing readable; that has been reported.
    Unreadable,
    Call(At<Call>),
    Await(AwaitDraft),
}

/// What a step waits for.
#[derive(Debug)]
pub(crate) struct AwaitDraft {
    pub(crate) span: Range<usize>,
    pub(crate) signal: Option<At<Token>>,
    pub(crate) timeout_ms: Option<At<u64>>,
    pub(crate) on_timeout: Option<At<OnTimeout>>,
}

/// Over which list a step runs.
#[derive(Debug)]
pub(crate) struct ForEachDraft {
    /// Of the key.
    pub(crate) span: Range<usize>,
    pub(crate) list: Option<TemplateDraft>,
    pub(crate) name: Option<At<Token>>,
    pub(crate) at_most: At<u32>,
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
    /// By a call, never an await.
    Call { call: At<Call>, with: Option<TemplateDraft>, retry: Retry, resend_after_ms: u64 },
}

/// A template and the paths that its expressions use.
#[derive(Debug)]
pub(crate) struct TemplateDraft {
    /// `None` when any part of it is wrong; the paths of the others are there all the same.
    pub(crate) template: Option<Template>,
    pub(crate) paths: Vec<At<Path>>,
}

impl TemplateDraft {
    /// The path that the template is, if it is nothing else.
    pub(crate) fn as_path(&self) -> Option<&Path> {
        match self.paths.as_slice() {
            [path] if self.template.as_ref()?.is_path() => Some(&path.value),
            _ => None,
        }
    }
}
