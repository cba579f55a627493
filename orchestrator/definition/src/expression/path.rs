//! Names in scope and paths into them: `input.lines`, `steps['reserve-stock'].reservation_id`.
//!
//! Most expressions are nothing but a path; those are walked here, without the interpreter.
//!
//! Invariant: walking a path gives what the interpreter would give, in value as in kind of error.

use std::collections::BTreeMap;

use amends_contract::Token;
use serde_json::{Value, json};

use super::error::Failure;
use crate::Scope;

/// The names that expressions may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Input,
    Steps,
    Saga,
    Failure,
}

impl Root {
    pub(crate) const ALL: [Self; 4] = [Self::Input, Self::Steps, Self::Saga, Self::Failure];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Steps => "steps",
            Self::Saga => "saga",
            Self::Failure => "failure",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.as_str() == name)
    }
}

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A field, whose name is written in the expression.
    Field(String),
    /// An element that is known only when the expression is evaluated.
    Element,
}

/// A path as it stands in an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// The name it begins with; not necessarily one that is in scope.
    pub(crate) root: String,
    pub(crate) segments: Vec<Segment>,
    /// Where the root stands, in characters of the expression.
    pub(crate) offset: usize,
}

/// The scope as JSON.
pub(crate) struct Names<'a> {
    pub(crate) input: &'a Value,
    pub(crate) steps: &'a BTreeMap<Token, Value>,
    pub(crate) saga: Value,
    pub(crate) failure: Option<Value>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(scope: &Scope<'a>) -> Self {
        let saga = scope.saga;
        Self {
            input: scope.input,
            steps: scope.steps,
            saga: json!({
                "id": saga.id.to_string(),
                "definition": saga.definition.name.as_str(),
                "version": saga.definition.version,
                "started_at": saga.started_at.to_string(),
                "labels": saga.labels.iter().map(|(name, value)| (name.to_string(), json!(value)))
                    .collect::<serde_json::Map<_, _>>(),
            }),
            failure: scope.failure.map(|failure| {
                json!({
                    "step": failure.step.map(Token::as_str),
                    "code": failure.code,
                    "detail": failure.detail,
                })
            }),
        }
    }

    /// What the fields lead to from the root.
    pub(crate) fn walk(&self, root: Root, fields: &[String]) -> Result<&Value, Failure> {
        let (start, fields) = match root {
            Root::Input => (self.input, fields),
            Root::Saga => (&self.saga, fields),
            Root::Failure => {
                (self.failure.as_ref().ok_or_else(|| Failure::no_such_key(root.as_str()))?, fields)
            }
            Root::Steps => {
                let [step, rest @ ..] = fields else { return Err(Failure::no_such_key(root.as_str())) };
                (self.steps.get(step.as_str()).ok_or_else(|| Failure::no_such_key(step))?, rest)
            }
        };
        fields.iter().try_fold(start, |value, field| match value {
            Value::Object(map) => map.get(field).ok_or_else(|| Failure::no_such_key(field)),
            other => Err(Failure::wrong_type(".", &[type_name(other), "string"])),
        })
    }
}

/// What the interpreter calls the type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null_type",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "map",
    }
}
