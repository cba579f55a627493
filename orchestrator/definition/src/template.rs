//! Templates: JSON with expressions in it.
//!
//! Invariant: rendering is a pure function of template and scope; it does not panic, and its cost is
//! bounded by the limits of the language.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use amends_contract::DATA_DEPTH_MAX;
use serde::{Serialize, Serializer};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use crate::expression::{Evaluation, Expression, Failure, Names};
use crate::{ExpressionError, Scope};

/// JSON in which a string that began with `=` is an expression.
#[derive(Clone, Debug)]
pub struct Template {
    root: Part,
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Without any expression in it.
    Literal(Value),
    Expression(Arc<Expression>),
    List(Vec<Part>),
    Map(BTreeMap<String, Part>),
}

impl Template {
    pub(crate) const fn new(root: Part) -> Self {
        Self { root }
    }

    /// Whether it is one expression that is nothing but a path.
    pub(crate) fn is_path(&self) -> bool {
        matches!(&self.root, Part::Expression(expression) if expression.is_path())
    }

    /// The value in this scope.
    ///
    /// # Errors
    /// [`ExpressionError`] of the first expression, in the order of the sorted keys, that has no value.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        self.rendered(scope, |rendered| rendered.into_value())
    }

    /// The same as JSON's text, for what is only going to be passed on: what is in scope is written, and not copied
    /// before.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_json(&self, scope: &Scope<'_>) -> Result<Box<RawValue>, ExpressionError> {
        let write = |rendered: Rendered<'_>| to_raw_value(&rendered);
        self.rendered(scope, write).map(|text| text.unwrap_or_else(|_| unreachable!("JSON can be written")))
    }

    fn rendered<R>(
        &self,
        scope: &Scope<'_>,
        take: impl FnOnce(Rendered<'_>) -> R,
    ) -> Result<R, ExpressionError> {
        let names = Names::new(scope);
        render(&self.root, &mut Evaluation::new(&names), DATA_DEPTH_MAX).map(take)
    }
}

/// What a part gives, with what need not be copied borrowed.
enum Rendered<'a> {
    Value(Cow<'a, Value>),
    List(Vec<Rendered<'a>>),
    /// In the order of the keys.
    Map(Vec<(&'a str, Rendered<'a>)>),
}

impl Rendered<'_> {
    fn into_value(self) -> Value {
        match self {
            Self::Value(value) => value.into_owned(),
            Self::List(items) => items.into_iter().map(Self::into_value).collect(),
            Self::Map(fields) => {
                fields.into_iter().map(|(key, field)| (key.to_owned(), field.into_value())).collect()
            }
        }
    }
}

impl Serialize for Rendered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Value(value) => value.serialize(serializer),
            Self::List(items) => items.serialize(serializer),
            Self::Map(fields) => serializer.collect_map(fields.iter().map(|(key, field)| (key, field))),
        }
    }
}

/// Renders a part; `levels` is how much deeper the value may go. The template itself is never that deep: YAML is
/// refused before.
fn render<'a>(
    part: &'a Part,
    evaluation: &mut Evaluation<'a>,
    levels: usize,
) -> Result<Rendered<'a>, ExpressionError> {
    let inside = levels.saturating_sub(1);
    match part {
        Part::Literal(value) => Ok(Rendered::Value(Cow::Borrowed(value))),
        Part::Expression(expression) => {
            let value = evaluation.evaluate(expression, levels);
            value.map(Rendered::Value).map_err(|failure| error(failure, expression))
        }
        Part::List(items) => {
            let item = |(index, item)| {
                render(item, evaluation, inside).map_err(|error| within(error, &format!("{index}")))
            };
            items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Rendered::List)
        }
        Part::Map(fields) => {
            let field = |(key, field): (&'a String, &'a Part)| match render(field, evaluation, inside) {
                Ok(value) => Ok((key.as_str(), value)),
                Err(error) => Err(within(error, &key.replace('~', "~0").replace('/', "~1"))),
            };
            fields.iter().map(field).collect::<Result<_, _>>().map(Rendered::Map)
        }
    }
}

fn error(failure: Failure, expression: &Expression) -> ExpressionError {
    ExpressionError {
        kind: failure.kind,
        pointer: String::new(),
        expression: expression.source.clone(),
        message: failure.message,
    }
}

/// The pointer is made on the way out, for most renderings need none.
fn within(error: ExpressionError, segment: &str) -> ExpressionError {
    ExpressionError { pointer: format!("/{segment}{}", error.pointer), ..error }
}
