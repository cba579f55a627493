//! Evaluating a checked expression in a scope.
//!
//! Invariant: what an evaluation costs is counted, and it ends when the count is used up.

use std::any::Any;
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::types::Type;
use cel::common::value::{StaticVal, Val};
use cel::{Context, Env};
use serde_json::Value;

use super::error::Failure;
use super::output::{Room, admit, to_json};
use super::path::{Names, Root, Start};
use super::{ExpressionErrorKind, guard, json};
use crate::limits::EVALUATION_COST_MAX;

/// A checked expression.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    /// As it stands in the file, without its `=`.
    pub(crate) source: String,
    pub(super) program: Program,
}

impl Expression {
    /// Whether it is nothing but a path.
    pub(crate) const fn is_path(&self) -> bool {
        matches!(self.program, Program::Path { .. })
    }
}

/// How it is evaluated.
#[derive(Clone, Debug)]
pub(super) enum Program {
    /// By walking the JSON.
    Path { start: Start, fields: Vec<String> },
    /// By the interpreter; guarded.
    Cel(Box<cel::parser::Expression>),
}

/// The functions that expressions may use.
pub(super) static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib().with_optional_support(false);
    guard::declare(&mut environment);
    Arc::new(environment)
});

/// One rendering of one template: its scope, and what it may still cost.
pub(crate) struct Evaluation<'n> {
    names: &'n Names<'n>,
    /// Made for the first expression that needs the interpreter: it costs more than most expressions.
    context: Option<Context<'n, 'n>>,
    room: Room,
}

impl<'n> Evaluation<'n> {
    pub(crate) const fn new(names: &'n Names<'n>) -> Self {
        Self { names, context: None, room: Room::new() }
    }

    /// The value, with at most so many levels of lists and maps.
    pub(crate) fn evaluate(
        &mut self,
        expression: &Expression,
        levels: usize,
    ) -> Result<Cow<'n, Value>, Failure> {
        match &expression.program {
            Program::Path { start, fields } => {
                let value = self.names.walk(start, fields)?;
                admit(value, &mut self.room, levels)?;
                Ok(Cow::Borrowed(value))
            }
            Program::Cel(program) => {
                let context = self.context.get_or_insert_with(|| context(self.names));
                let val = cel::Value::resolve_val(program, context).map_err(Failure::from)?;
                to_json(val.as_ref(), &mut self.room, levels).map(Cow::Owned)
            }
        }
    }
}

fn context<'n>(names: &'n Names<'n>) -> Context<'n, 'n> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    context.add_variable_as_val(Root::Input.as_str(), json::val(names.input()));
    context.add_variable_as_val(Root::Steps.as_str(), json::outputs(names.steps()));
    context.add_variable_as_val(Root::Saga.as_str(), json::val(names.saga()));
    if let Some(failure) = names.failure() {
        context.add_variable_as_val(Root::Failure.as_str(), json::val(failure));
    }
    if let Some(event) = names.event() {
        context.add_variable_as_val(Root::Event.as_str(), json::val(event));
    }
    if let Some(element) = names.element() {
        context.add_variable_as_val(element.name.as_str(), json::val(element.value));
    }
    context.add_variable_as_val(guard::COST, Box::new(Cost::new()));
    context
}

/// What an evaluation may still cost. The guards find it among the variables, under a name that no
/// expression can write.
#[derive(Clone, Debug)]
pub(super) struct Cost {
    left: Arc<AtomicU64>,
}

static COST_TYPE: Type = Type::new_unspecified_type("@cost");

impl Cost {
    fn new() -> Self {
        Self { left: Arc::new(AtomicU64::new(EVALUATION_COST_MAX)) }
    }

    pub(super) fn spend(&self, units: usize) -> Result<(), Failure> {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        let left = self.left.load(Ordering::Relaxed).checked_sub(units).ok_or_else(|| {
            Failure::new(
                ExpressionErrorKind::TooCostly,
                "evaluating this goes through too many elements or too much text",
            )
        })?;
        // One thread evaluates; it is atomic only because the interpreter's values are shared.
        self.left.store(left, Ordering::Relaxed);
        Ok(())
    }
}

impl Val for Cost {
    fn get_type(&self) -> &Type {
        &COST_TYPE
    }

    fn cel_type() -> &'static Type {
        &COST_TYPE
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Cost {}
