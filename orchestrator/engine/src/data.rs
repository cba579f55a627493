//! What expressions give: the data of an effect, a condition, a list, the saga's output. Each is rendered
//! once, when it is decided, and frozen with the decision.

use std::collections::BTreeMap;

use amends_contract::{COMMAND_BYTES_MAX, Direction, Json, Token};
use amends_definition::{
    Element, ExpressionError, ExpressionErrorKind, FailureScope, ForEach, SagaScope, Scope, Template, Undo,
};
use serde_json::Value;

use crate::command::too_large;
use crate::draft::Draft;
use crate::{ActionState, Saga, StuckWhy, code};

/// Why something cannot be decided. The same saga gives the same trouble.
pub(crate) struct Trouble {
    /// As a failure's code.
    pub(crate) code: &'static str,
    /// As a step's reason to be stuck.
    pub(crate) why: StuckWhy,
    /// For people.
    pub(crate) detail: String,
}

impl Trouble {
    fn of_expression(detail: String) -> Self {
        Self { code: code::EXPRESSION, why: StuckWhy::Expression, detail }
    }
}

/// Whether the step's condition is true; one without a condition always runs.
pub(crate) fn condition(draft: &Draft<'_>, index: usize) -> Result<bool, Trouble> {
    let Some(when) = &draft.model(index).when else { return Ok(true) };
    match render(draft, when, None)? {
        Value::Bool(runs) => Ok(runs),
        other => {
            Err(Trouble::of_expression(format!("`when` is true or false, and it gave {}", kind(&other))))
        }
    }
}

/// The elements of a `for_each` step.
pub(crate) fn elements(draft: &Draft<'_>, for_each: &ForEach) -> Result<Vec<Json>, Trouble> {
    let elements: Vec<Json> = match render(draft, &for_each.list, None)? {
        Value::Array(elements) => elements.into_iter().map(Json::from).collect(),
        other => {
            let detail = format!("`for_each` goes through a list, and it gave {}", kind(&other));
            return Err(Trouble::of_expression(detail));
        }
    };
    let (count, at_most) = (elements.len(), for_each.at_most);
    if u32::try_from(count).is_ok_and(|count| count <= at_most) {
        return Ok(elements);
    }
    let detail = format!("the list of `for_each` has {count} elements; `at_most` allows {at_most}");
    Err(Trouble { code: code::TOO_LARGE, why: StuckWhy::TooLarge, detail })
}

/// The data of a step's action; of an instance, with its element in scope.
pub(crate) fn of_action(draft: &Draft<'_>, index: usize, element: Option<&Value>) -> Result<Json, Trouble> {
    let model = draft.model(index);
    let element = element.and_then(|value| named(model.for_each.as_ref(), value));
    // Only a schema has to look into it.
    let data = match model.command_schema {
        Some(_) => Json::from(in_scope(draft, element, |scope| model.with.render(scope))?),
        None => Json::from(in_scope(draft, element, |scope| model.with.render_json(scope))?),
    };
    check_command(draft, index, &data)?;
    check_size(draft, index, Direction::Forward, &data)?;
    Ok(data.packed())
}

/// The data of a step's undo: that of its action, and what the definition adds to it; `None` if that is nothing.
pub(crate) fn of_undo(draft: &Draft<'_>, index: usize) -> Result<Option<Json>, Trouble> {
    let (model, step) = (draft.model(index), draft.step(index));
    let action = step.action_effect.as_ref().and_then(|effect| effect.data.as_ref());
    let Some(Undo::Call { with: Some(with), .. }) = &model.undo else {
        check_size(draft, index, Direction::Backward, action.unwrap_or(&Json::NULL))?;
        return Ok(None);
    };
    let element = step.index.and_then(|_| named(model.for_each.as_ref(), &step.element));
    let data = match (action.map(|data| &**data), render(draft, with, element)?) {
        (Some(Value::Object(data)), Value::Object(more)) => {
            let mut data = data.clone();
            data.extend(more);
            Value::Object(data)
        }
        (_, data) => data,
    };
    let data = Json::from(data);
    check_size(draft, index, Direction::Backward, &data)?;
    Ok(Some(data.packed()))
}

/// Whether an operator's data can take the place of those of an effect.
pub(crate) fn check_edited(
    draft: &Draft<'_>,
    index: usize,
    effect: Direction,
    data: &Json,
) -> Result<(), Trouble> {
    let action = || draft.step(index).action_effect.as_ref()?.data.as_ref();
    match effect {
        Direction::Forward => check_command(draft, index, data)?,
        // Without data of its own an undo carries that of its action.
        Direction::Backward if data.is_null() => {
            return check_size(draft, index, effect, action().unwrap_or(data));
        }
        Direction::Backward => {}
    }
    check_size(draft, index, effect, data)
}

/// Whether what an operator says that a step gave back is what those behind it rely on.
pub(crate) fn check_settled(
    draft: &Draft<'_>,
    index: usize,
    effect: Direction,
    output: &Json,
) -> Result<(), Trouble> {
    match (&draft.model(index).reply_schema, effect) {
        (Some(schema), Direction::Forward) => schema.check(output).map_err(|why| Trouble {
            code: code::SCHEMA,
            why: StuckWhy::Schema,
            detail: format!("the output breaks the step's schema: {why}"),
        }),
        _ => Ok(()),
    }
}

/// What the caller of a completed saga gets, or why that cannot be said.
pub(crate) fn output(draft: &Draft<'_>) -> Result<Json, String> {
    let Some(output) = &draft.definition.output else { return Ok(Json::NULL) };
    render(draft, output, None).map(Json::from).map_err(|trouble| trouble.detail)
}

fn named<'a>(for_each: Option<&'a ForEach>, value: &'a Value) -> Option<Element<'a>> {
    Some(Element { name: &for_each?.name, value })
}

fn render(draft: &Draft<'_>, template: &Template, element: Option<Element<'_>>) -> Result<Value, Trouble> {
    in_scope(draft, element, |scope| template.render(scope))
}

fn in_scope<R>(
    draft: &Draft<'_>,
    element: Option<Element<'_>>,
    render: impl FnOnce(&Scope<'_>) -> Result<R, ExpressionError>,
) -> Result<R, Trouble> {
    let outputs = outputs(&draft.saga);
    let scope = Scope { element, ..scope(&draft.saga, &outputs) };
    render(&scope).map_err(|error| match error.kind {
        ExpressionErrorKind::TooLarge => {
            Trouble { code: code::TOO_LARGE, why: StuckWhy::TooLarge, detail: error.to_string() }
        }
        _ => Trouble::of_expression(error.to_string()),
    })
}

/// What the steps gave back: null of one that was skipped, a list of one that ran for each element.
fn outputs(saga: &Saga) -> BTreeMap<Token, Json> {
    let fixed = saga.steps.iter().filter(|step| step.index.is_none());
    let output = |step: &crate::StepState| match &step.action {
        ActionState::Succeeded { output, .. } => Some(output.clone()),
        ActionState::Skipped => Some(Json::NULL),
        ActionState::Spread => {
            let outputs =
                saga.instances(&step.name).map(|instance| instance.output().map(|it| it.clone().into()));
            outputs.collect::<Option<Vec<Value>>>().map(|outputs| Value::Array(outputs).into())
        }
        _ => None,
    };
    fixed.filter_map(|step| Some((step.name.clone(), output(step)?))).collect()
}

/// What expressions see.
pub(crate) fn scope<'a>(saga: &'a Saga, outputs: &'a BTreeMap<Token, Json>) -> Scope<'a> {
    Scope {
        input: &saga.input,
        steps: outputs,
        saga: SagaScope {
            id: saga.id,
            definition: &saga.definition,
            started_at: saga.started_at,
            labels: &saga.labels,
        },
        failure: saga.failure.as_ref().map(|failure| FailureScope {
            step: failure.step.as_ref(),
            code: &failure.code,
            detail: &failure.detail,
        }),
        element: None,
        event: None,
    }
}

fn check_command(draft: &Draft<'_>, index: usize, data: &Json) -> Result<(), Trouble> {
    let Some(schema) = &draft.model(index).command_schema else { return Ok(()) };
    schema.check(data).map_err(|why| Trouble {
        code: code::SCHEMA,
        why: StuckWhy::Schema,
        detail: format!("the command's data break the step's schema: {why}"),
    })
}

fn check_size(draft: &Draft<'_>, index: usize, direction: Direction, data: &Json) -> Result<(), Trouble> {
    match too_large(&draft.saga, draft.definition, index, direction, data) {
        None => Ok(()),
        Some(bytes) => Err(Trouble {
            code: code::TOO_LARGE,
            why: StuckWhy::TooLarge,
            detail: format!("the command has {bytes} bytes; at most {COMMAND_BYTES_MAX} are sent"),
        }),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}
