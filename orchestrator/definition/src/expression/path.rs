//! Names in scope and paths into them: `input.lines`, `steps['reserve-stock'].reservation_id`.
//!
//! Most expressions are nothing but a path; those are walked here, without the interpreter.
//!
//! Invariant: walking a path gives what the interpreter would give, in value as in kind of error.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use amends_contract::{Json, Token};
use serde_json::{Value, json};

use super::error::Failure;
use crate::{Element, Scope};

/// The names that expressions may begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    Input,
    Steps,
    Saga,
    Failure,
    Event,
}

impl Root {
    pub(crate) const ALL: [Self; 5] = [Self::Input, Self::Steps, Self::Saga, Self::Failure, Self::Event];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Steps => "steps",
            Self::Saga => "saga",
            Self::Failure => "failure",
            Self::Event => "event",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|root| root.as_str() == name)
    }
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    Root(Root),
    /// What the definition calls an element; whether anything is called so is known only in a scope.
    Element(String),
}

impl Start {
    pub(crate) fn named(name: &str) -> Self {
        Root::named(name).map_or_else(|| Self::Element(name.to_owned()), Self::Root)
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

/// The scope as JSON. What few expressions name is made when the first one does.
pub(crate) struct Names<'a> {
    scope: &'a Scope<'a>,
    saga: OnceCell<Value>,
    failure: OnceCell<Option<Value>>,
}

impl<'a> Names<'a> {
    pub(crate) const fn new(scope: &'a Scope<'a>) -> Self {
        Self { scope, saga: OnceCell::new(), failure: OnceCell::new() }
    }

    pub(crate) const fn input(&self) -> &'a Value {
        self.scope.input
    }

    pub(crate) const fn steps(&self) -> &'a BTreeMap<Token, Json> {
        self.scope.steps
    }

    pub(crate) fn saga(&self) -> &Value {
        self.saga.get_or_init(|| {
            let saga = self.scope.saga;
            json!({
                "id": saga.id.to_string(),
                "definition": saga.definition.name.as_str(),
                "version": saga.definition.version,
                "started_at": saga.started_at.to_string(),
                "labels": saga.labels.iter().map(|(name, value)| (name.to_string(), json!(value)))
                    .collect::<serde_json::Map<_, _>>(),
            })
        })
    }

    pub(crate) fn failure(&self) -> Option<&Value> {
        let failure = || {
            let failure = self.scope.failure?;
            Some(json!({
                "step": failure.step.map(Token::as_str),
                "code": failure.code,
                "detail": failure.detail,
            }))
        };
        self.failure.get_or_init(failure).as_ref()
    }

    pub(crate) const fn element(&self) -> Option<Element<'a>> {
        self.scope.element
    }

    pub(crate) const fn event(&self) -> Option<&'a Value> {
        self.scope.event
    }

    /// What the fields lead to from the start.
    pub(crate) fn walk(&self, start: &Start, fields: &[String]) -> Result<&Value, Failure> {
        let absent = |root: Root| Failure::no_such_key(root.as_str());
        let (start, fields) = match start {
            Start::Root(Root::Input) => (self.input(), fields),
            Start::Root(Root::Saga) => (self.saga(), fields),
            Start::Root(root @ Root::Failure) => (self.failure().ok_or_else(|| absent(*root))?, fields),
            Start::Root(root @ Root::Event) => (self.event().ok_or_else(|| absent(*root))?, fields),
            Start::Root(root @ Root::Steps) => {
                let [step, rest @ ..] = fields else { return Err(absent(*root)) };
                (&**self.steps().get(step.as_str()).ok_or_else(|| Failure::no_such_key(step))?, rest)
            }
            Start::Element(name) => {
                let element = self.element().filter(|element| element.name.as_str() == name);
                (element.ok_or_else(|| Failure::no_such_key(name))?.value, fields)
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
