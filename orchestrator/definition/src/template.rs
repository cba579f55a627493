//! Templates: JSON with expressions in it.
//!
//! Invariant: rendering is a pure function of template and scope; it does not panic, and its cost is
//! bounded by the limits of the language.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_contract::DATA_DEPTH_MAX;
use serde_json::Value;

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
        if let Part::Literal(value) = &self.root {
            return Ok(value.clone());
        }
        let names = Names::new(scope);
        render(&self.root, &mut Evaluation::new(&names), DATA_DEPTH_MAX)
    }
}

/// Renders a part; `levels` is how much deeper the value may go. The template itself is never that deep: YAML is
/// refused before.
fn render(part: &Part, evaluation: &mut Evaluation<'_>, levels: usize) -> Result<Value, ExpressionError> {
    let inside = levels.saturating_sub(1);
    match part {
        Part::Literal(value) => Ok(value.clone()),
        Part::Expression(expression) => {
            evaluation.evaluate(expression, levels).map_err(|failure| error(failure, expression))
        }
        Part::List(items) => {
            let item = |(index, item)| {
                render(item, evaluation, inside).map_err(|error| within(error, &format!("{index}")))
            };
            items.iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Array)
        }
        Part::Map(fields) => {
            let field = |(key, field): (&String, &Part)| match render(field, evaluation, inside) {
                Ok(value) => Ok((key.clone(), value)),
                Err(error) => Err(within(error, &key.replace('~', "~0").replace('/', "~1"))),
            };
            fields.iter().map(field).collect::<Result<_, _>>().map(Value::Object)
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
