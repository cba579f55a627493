//! The first input.

use std::collections::BTreeMap;

use amends_contract::{EffectId, Json, SagaId, Timestamp, Token};
use amends_definition::{Definition, Template};
use serde_json::Value;

use crate::draft::Draft;
use crate::{
    Decision, Ending, Error, Failure, Input, JournalEntry, Saga, Transition, code, data, fold, progress,
};

/// With what a saga begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begin {
    /// What it is about.
    pub input: Json,
    /// When its first step is decided; at once if there is none. The deadline counts from then.
    pub start_at: Option<Timestamp>,
    /// The effect of another saga that it is.
    pub parent: Option<EffectId>,
    /// It ends as it begins, without a step and without a word: an undo came before its action, and the
    /// saga that the action would have been must never be. Its row keeps the id from being used.
    pub tombstone: bool,
}

impl From<Value> for Begin {
    fn from(input: Value) -> Self {
        Json::from(input).into()
    }
}

impl From<Json> for Begin {
    fn from(input: Json) -> Self {
        Self { input, start_at: None, parent: None, tombstone: false }
    }
}

/// Begins a saga: journal entry 1, and the commands of its first steps.
///
/// # Errors
/// [`Error::Label`] when a label has no value for this input.
pub fn start(
    id: SagaId,
    definition: &Definition,
    begin: impl Into<Begin>,
    now: Timestamp,
) -> Result<Transition, Error> {
    let Begin { input, start_at, parent, tombstone } = begin.into();
    let start_at = start_at.filter(|at| *at > now);
    let start = Input::Start {
        definition: definition.reference(),
        digest: definition.digest,
        input,
        labels: BTreeMap::new(),
        start_at,
        parent,
        tombstone,
    };
    let mut entry = JournalEntry::new(id, 1, now, start, Vec::new());
    let Some(mut saga) = fold::blank(&entry) else { unreachable!("it is a start") };
    let values = if tombstone { BTreeMap::new() } else { labels(&saga, &definition.labels)? };
    if let Input::Start { labels, .. } = &mut entry.input {
        labels.clone_from(&values);
    }
    saga.labels = values;

    let mut draft = Draft::new(saga, definition, now, None);
    let steps = definition.steps.iter().chain(&definition.on_compensated);
    draft.decide(Decision::Started {
        steps: steps.map(|step| step.name.clone()).collect(),
        deadline_at: definition.deadline_ms.map(|ms| start_at.unwrap_or(now).plus_ms(ms)),
    });
    if tombstone {
        return Ok(lay(draft, entry.input));
    }
    progress::go_on(&mut draft);
    Ok(draft.finish(entry.input))
}

/// Ends it before anything is decided. Nobody need hear of what never was.
fn lay(mut draft: Draft<'_>, input: Input) -> Transition {
    let detail = "it was undone before it began".to_owned();
    draft.decide(Decision::Turned {
        failure: Failure { step: None, code: code::CANCELLED.to_owned(), detail },
        undo: Vec::new(),
    });
    let (ending, output, output_error) = (Ending::Compensated, Json::NULL, None);
    draft.decide(Decision::Done { ending, output, output_error });
    Transition { outputs: Vec::new(), ..draft.finish(input) }
}

fn labels(saga: &Saga, templates: &BTreeMap<Token, Template>) -> Result<BTreeMap<Token, String>, Error> {
    let nothing = BTreeMap::new();
    let scope = data::scope(saga, &nothing);
    let mut labels = BTreeMap::new();
    for (name, template) in templates {
        let label = |why: String| Error::Label { label: name.clone(), why };
        match template.render(&scope).map_err(|error| label(error.to_string()))? {
            Value::String(text) => labels.insert(name.clone(), text),
            value @ (Value::Number(_) | Value::Bool(_)) => labels.insert(name.clone(), value.to_string()),
            // A field that need not be there is no label.
            Value::Null => None,
            Value::Array(_) | Value::Object(_) => {
                return Err(label("a label is a text, a number or a truth value".to_owned()));
            }
        };
    }
    Ok(labels)
}
