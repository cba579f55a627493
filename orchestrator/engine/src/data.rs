//! The data of an effect, rendered once, when the effect is decided, and frozen with it.

use std::collections::BTreeMap;

use amends_contract::{COMMAND_BYTES_MAX, Direction, Token};
use amends_definition::{ExpressionErrorKind, FailureScope, SagaScope, Scope, Template, Undo};
use serde_json::Value;

use crate::command::too_large;
use crate::draft::Draft;
use crate::{Saga, StuckWhy, code};

/// Why an effect cannot be decided. The same saga gives the same trouble.
pub(crate) struct Trouble {
    /// As a failure's code.
    pub(crate) code: &'static str,
    /// As a step's reason to be stuck.
    pub(crate) why: StuckWhy,
    /// For people.
    pub(crate) detail: String,
}

/// The data of a step's action.
pub(crate) fn of_action(draft: &Draft<'_>, index: usize) -> Result<Value, Trouble> {
    let data = render(draft, &draft.model(index).with)?;
    check_size(draft, index, Direction::Forward, &data)?;
    Ok(data)
}

/// The data of a step's undo: that of its action, and what the definition adds to it; `None` if that is nothing.
pub(crate) fn of_undo(draft: &Draft<'_>, index: usize) -> Result<Option<Value>, Trouble> {
    let action = draft.step(index).action_effect.as_ref().and_then(|effect| effect.data.as_ref());
    let Some(Undo::Call { with: Some(with), .. }) = &draft.model(index).undo else {
        check_size(draft, index, Direction::Backward, action.unwrap_or(&Value::Null))?;
        return Ok(None);
    };
    let data = match (action.cloned(), render(draft, with)?) {
        (Some(Value::Object(mut data)), Value::Object(more)) => {
            data.extend(more);
            Value::Object(data)
        }
        (_, data) => data,
    };
    check_size(draft, index, Direction::Backward, &data)?;
    Ok(Some(data))
}

fn render(draft: &Draft<'_>, template: &Template) -> Result<Value, Trouble> {
    let saga = &draft.saga;
    let outputs: BTreeMap<Token, Value> =
        saga.steps.iter().filter_map(|step| Some((step.name.clone(), step.output()?.clone()))).collect();
    template.render(&scope(saga, &outputs)).map_err(|error| {
        let (code, why) = match error.kind {
            ExpressionErrorKind::TooLarge => (code::TOO_LARGE, StuckWhy::TooLarge),
            _ => (code::EXPRESSION, StuckWhy::Expression),
        };
        Trouble { code, why, detail: error.to_string() }
    })
}

/// What expressions see.
pub(crate) fn scope<'a>(saga: &'a Saga, outputs: &'a BTreeMap<Token, Value>) -> Scope<'a> {
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

fn check_size(draft: &Draft<'_>, index: usize, direction: Direction, data: &Value) -> Result<(), Trouble> {
    match too_large(&draft.saga, draft.definition, index, direction, data) {
        None => Ok(()),
        Some(bytes) => Err(Trouble {
            code: code::TOO_LARGE,
            why: StuckWhy::TooLarge,
            detail: format!("the command has {bytes} bytes; at most {COMMAND_BYTES_MAX} are sent"),
        }),
    }
}
