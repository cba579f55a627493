//! What expressions can see: the saga's input, what its steps brought, and the saga itself.
//!
//! Invariant: everything is borrowed and plain data, so that evaluating changes nothing.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Json, SagaId, Timestamp, Token};
use serde_json::Value;

/// The names in scope when a template is rendered.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    /// `input`: the saga's input.
    pub input: &'a Value,
    /// `steps['name']`: the outputs of the steps that have succeeded; null for one that was skipped.
    pub steps: &'a BTreeMap<Token, Json>,
    /// `saga`: the saga itself.
    pub saga: SagaScope<'a>,
    /// `failure`: why the saga turned backward; there in `on_compensated` only.
    pub failure: Option<FailureScope<'a>>,
    /// The element of a `for_each` step, under the name that its `as` gives.
    pub element: Option<Element<'a>>,
    /// `event`: what started the saga; there in `starts_on` only.
    pub event: Option<&'a Value>,
}

/// One element of the list of a `for_each` step.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    /// What expressions call it.
    pub name: &'a Token,
    /// The element.
    pub value: &'a Value,
}

/// `saga` in expressions: `id`, `definition`, `version`, `started_at`, `labels`.
#[derive(Clone, Copy, Debug)]
pub struct SagaScope<'a> {
    /// `saga.id`, as text.
    pub id: SagaId,
    /// `saga.definition` (its name) and `saga.version`.
    pub definition: &'a DefinitionRef,
    /// `saga.started_at`, as RFC 3339 text.
    pub started_at: Timestamp,
    /// `saga.labels`; empty while the labels themselves are evaluated.
    pub labels: &'a BTreeMap<Token, String>,
}

/// `failure` in expressions: `step`, `code`, `detail`.
#[derive(Clone, Copy, Debug)]
pub struct FailureScope<'a> {
    /// `failure.step`: the step's name; null when no step failed (a deadline, a cancel).
    pub step: Option<&'a Token>,
    /// `failure.code`: such as `out-of-stock`, `deadline`, `cancelled`.
    pub code: &'a str,
    /// `failure.detail`: for people.
    pub detail: &'a str,
}
