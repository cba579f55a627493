//! Templates: JSON with expressions in it.
//!
//! Invariant: rendering is a pure function of template and scope; it cannot panic, and its cost is
//! bounded by the limits of the language.

use serde_json::Value;

use crate::Scope;

/// JSON in which a string that began with `=` is an expression.
#[derive(Clone, Debug)]
pub struct Template {}

impl Template {
    /// The value in this scope.
    ///
    /// # Errors
    /// [`ExpressionError`] of the first expression, in the order of the sorted keys, that has no value.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        let _ = scope;
        unimplemented!()
    }
}

/// An expression that has no value in its scope. The same scope gives the same error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("={expression}: {message}")]
pub struct ExpressionError {
    /// What kind of error it is.
    pub kind: ExpressionErrorKind,
    /// The expression without its `=`.
    pub expression: String,
    /// What is wrong, for people.
    pub message: String,
}

/// Why an expression has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpressionErrorKind {
    /// A field or step is not there.
    NoSuchKey,
}
