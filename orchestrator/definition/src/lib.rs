//! The definition language: a YAML file becomes a [`Definition`], or a list of [`Diagnostics`] that say
//! where, why and how to mend it.
//!
//! Pure: no I/O, no clock, no randomness. Schemas come in by closure, expressions see only their scope.
//!
//! Invariant: a definition that compiles renders the same data from the same scope, for ever.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod compile;
mod definition;
mod diagnostics;
mod draft;
mod expression;
mod graph;
pub mod limits;
mod names;
mod node;
mod read;
mod report;
mod rules;
mod schema;
mod scope;
mod suggest;
mod template;

pub use definition::{
    Await, Call, Check, CheckFn, ChildSaga, Definition, ForEach, OnTimeout, Retry, Schema, StartsOn, Step,
    StepKind, Undo,
};
pub use diagnostics::{Diagnostic, Diagnostics, Rule};
pub use expression::{ExpressionError, ExpressionErrorKind};
pub use scope::{Element, FailureScope, SagaScope, Scope};
pub use template::Template;
