//! From the YAML tree to a draft: every word of the language, one by one.
//!
//! Invariant: reading never stops at a mistake; it reports and goes on with the next word.

mod call;
mod fields;
mod for_each;
mod retry;
mod starts_on;
mod step;
mod template;
mod undo;
mod values;
mod waiting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use amends_contract::Token;

use crate::draft::{Draft, StepDraft, TemplateDraft};
use crate::limits::{LABELS_MAX, STEPS_MAX};
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::{Rule, schema};

use fields::{Fields, Words};
use retry::{Defaults, defaults, optional_duration};
use values::{quoted, text, token, whole};

const DEFINITION: Words = Words {
    what: "a definition",
    known: &[
        "saga",
        "version",
        "description",
        "input",
        "starts_on",
        "labels",
        "deadline",
        "retention",
        "defaults",
        "steps",
        "on_compensated",
        "output",
    ],
};

/// How long a settled saga is kept unless the definition says otherwise: 30 days, as long as participants
/// remember its effects.
const RETENTION_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// The text of a schema by its path, or why there is none.
pub(crate) type Schemas<'s> = &'s dyn Fn(&str) -> Result<String, String>;

/// Reads the whole document.
pub(crate) fn definition(report: &mut Report, node: &Node, schemas: Schemas<'_>) -> Option<Draft> {
    let fields = Fields::read(report, node, &DEFINITION)?;
    let name = fields.require(report, "saga", "say what the saga is called: `saga: order`");
    let version = fields.require(report, "version", "say `version: 1`, and one more for every change");
    let steps = fields.require(report, "steps", "say what it does: `steps:` and a list of steps");
    let defaults = defaults(report, fields.get("defaults"));
    let draft = Draft {
        name: name.and_then(|node| token(report, node, "the name of a saga")),
        version: version.and_then(|node| {
            let version = whole(report, node, "the version", 1..=u32::MAX)?;
            Some(crate::draft::At::new(version, node.span.clone()))
        }),
        description: fields.get("description").and_then(|node| {
            let remedy = "say in a sentence what the saga is for";
            text(report, node, "a description", remedy).map(str::to_owned)
        }),
        input_schema: fields.get("input").and_then(|node| schema::load(report, node, "input", schemas)),
        labels: fields.get("labels").map(|node| labels(report, node)).unwrap_or_default(),
        deadline_ms: optional_duration(report, fields.get("deadline")),
        retention_ms: optional_duration(report, fields.get("retention")).unwrap_or(RETENTION_MS),
        steps: steps.map(|node| self::steps(report, node, "steps", defaults, schemas)).unwrap_or_default(),
        on_compensated: fields
            .get("on_compensated")
            .map(|node| self::steps(report, node, "on_compensated", defaults, schemas))
            .unwrap_or_default(),
        output: fields.get("output").map(|node| template::template(report, node)),
        starts_on: fields.get("starts_on").and_then(|node| starts_on::read(report, node)),
    };
    if draft.steps.len() + draft.on_compensated.len() > STEPS_MAX {
        let message = format!("a definition has at most {STEPS_MAX} steps");
        report.add(fields.place(), Rule::Range, message, "split the saga");
    }
    Some(draft)
}

fn steps(
    report: &mut Report,
    node: &Node,
    word: &str,
    defaults: Defaults,
    schemas: Schemas<'_>,
) -> Vec<StepDraft> {
    match &node.yaml {
        Yaml::List(items) if !items.is_empty() => {
            // Beyond twice the limit nobody reads on, and neither do we.
            let items = items.iter().take(2 * STEPS_MAX);
            items.filter_map(|item| step::step(report, item, defaults, schemas)).collect()
        }
        Yaml::List(_) => {
            let message = format!("`{word}` is empty");
            report.add(node.span.clone(), Rule::MissingKey, message, "write at least one step");
            Vec::new()
        }
        other => {
            let message = format!("`{word}` is a list of steps, and {} was found", other.kind());
            report.add(node.span.clone(), Rule::WrongType, message, "write `- name: ...` for each step");
            Vec::new()
        }
    }
}

fn labels(report: &mut Report, node: &Node) -> BTreeMap<Token, TemplateDraft> {
    let mut labels = BTreeMap::new();
    let Yaml::Map(entries) = &node.yaml else {
        let message = format!("`labels` is a mapping, and {} was found", node.yaml.kind());
        report.add(
            node.span.clone(),
            Rule::WrongType,
            message,
            "write `labels: { customer: =input.customer_id }`",
        );
        return labels;
    };
    if let Some((key, _)) = entries.get(LABELS_MAX) {
        let message = format!("a definition has at most {LABELS_MAX} labels");
        report.add(key.span.clone(), Rule::Label, message, "keep those that operators search for");
    }
    for (key, value) in entries.iter().take(LABELS_MAX) {
        let key_node = Node { span: key.span.clone(), yaml: Yaml::Text(key.text.clone()) };
        let name = token(report, &key_node, "the name of a label");
        let Yaml::Text(_) = value.yaml else {
            let message =
                format!("the label {} is a text, and {} was found", quoted(&key.text), value.yaml.kind());
            report.add(value.span.clone(), Rule::Label, message, "write an expression, or a text in quotes");
            continue;
        };
        let value = template::template(report, value);
        if let Some(name) = name {
            labels.insert(name.value, value);
        }
    }
    labels
}
