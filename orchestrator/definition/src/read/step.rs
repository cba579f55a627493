//! One step.

use amends_contract::Token;

use crate::draft::{At, Does, StepDraft, UndoDraft};
use crate::limits::CONCURRENCY_MAX;
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::suggest::nearest;
use crate::{Rule, StepKind, schema};

use super::Schemas;
use super::fields::{Fields, Words};
use super::retry::{Defaults, optional_duration, retry};
use super::template::{condition, data};
use super::values::{quoted, text, token, whole};
use super::{call, for_each, undo, waiting};

pub(super) const STEP: Words = Words {
    what: "a step",
    known: &[
        "name",
        "kind",
        "call",
        "await",
        "with",
        "after",
        "when",
        "for_each",
        "as",
        "at_most",
        "concurrency",
        "undo",
        "because",
        "retry",
        "resend_after",
        "pending_max",
        "schemas",
    ],
};

pub(super) const SCHEMAS: Words = Words { what: "schemas", known: &["command", "reply"] };

/// Words of a step that make no sense while it waits.
const NOT_OF_AN_AWAIT: [&str; 12] = [
    "call",
    "with",
    "for_each",
    "as",
    "at_most",
    "concurrency",
    "undo",
    "because",
    "retry",
    "resend_after",
    "pending_max",
    "schemas",
];

/// Reads one element of `steps` or `on_compensated`.
pub(super) fn step(
    report: &mut Report,
    node: &Node,
    defaults: Defaults,
    schemas: Schemas<'_>,
) -> Option<StepDraft> {
    let fields = Fields::read(report, node, &STEP)?;
    let name = fields.require(report, "name", "give it a name: `name: reserve-stock`");
    let name: Option<At<Token>> = name.and_then(|node| token(report, node, "the name of a step"));
    let when = fields.get("when");
    let after = fields.get("after").and_then(|node| after(report, node));
    let mut draft = StepDraft {
        name,
        kind: None,
        does: Does::Unreadable,
        with: None,
        when: when.map(|node| At::new(condition(report, node), node.span.clone())),
        for_each: None,
        concurrency: None,
        command_schema: None,
        reply_schema: None,
        undo: UndoDraft::Absent,
        retry: defaults.retry,
        resend_after_ms: defaults.resend_after_ms,
        pending_max_ms: None,
        after,
    };
    if let Some(node) = fields.get("await") {
        draft.kind = fields.get("kind").and_then(|node| kind(report, node));
        draft.does = Does::Await(waiting::read(report, node));
        refuse(report, &fields);
        return Some(draft);
    }
    let remedy = "say `kind: compensatable`, `kind: pivot` or `kind: retriable`";
    draft.kind = fields.require(report, "kind", remedy).and_then(|node| kind(report, node));
    let remedy = "say who does it: `call: participant.command`, or what it waits for: `await: <signal>`";
    let does = fields.require(report, "call", remedy).and_then(|node| call::read(report, node, "a call"));
    draft.does = does.map_or(Does::Unreadable, Does::Call);
    read_call_words(report, &mut draft, &fields, defaults, schemas);
    Some(draft)
}

/// The words of a step that calls somebody.
fn read_call_words(
    report: &mut Report,
    draft: &mut StepDraft,
    fields: &Fields<'_>,
    defaults: Defaults,
    schemas: Schemas<'_>,
) {
    draft.with = fields.get("with").and_then(|node| data(report, node));
    draft.for_each = for_each::read(report, fields);
    draft.concurrency =
        fields.get("concurrency").and_then(|node| whole(report, node, "concurrency", 1..=CONCURRENCY_MAX));
    draft.undo = undo::read(report, fields, defaults);
    draft.retry = retry(report, fields.get("retry"), defaults.retry);
    draft.resend_after_ms =
        optional_duration(report, fields.get("resend_after")).unwrap_or(defaults.resend_after_ms);
    draft.pending_max_ms = optional_duration(report, fields.get("pending_max"));
    if let Some(fields) = fields.get("schemas").and_then(|node| Fields::read(report, node, &SCHEMAS)) {
        if fields.is_empty() {
            report.add(
                fields.place(),
                Rule::MissingKey,
                "`schemas` is empty",
                "name `command`, `reply`, or both",
            );
        }
        let mut load =
            |word: &str| fields.get(word).and_then(|node| schema::load(report, node, word, schemas));
        draft.command_schema = load("command");
        draft.reply_schema = load("reply");
    }
}

/// A step that waits sends nothing, so that whatever is about sending is a misunderstanding.
fn refuse(report: &mut Report, fields: &Fields<'_>) {
    for word in NOT_OF_AN_AWAIT {
        let Some(span) = fields.key(word) else { continue };
        let remedy = match word {
            "call" => "make it two steps: one that waits, and one after it that calls",
            "undo" | "because" => "remove it: waiting changes nothing, so there is nothing to undo",
            "for_each" | "as" | "at_most" => "remove it: a signal comes once",
            _ => "remove it, or make it two steps: one that waits, and one after it that calls",
        };
        report.add(span, Rule::Await, format!("a step that waits for a signal has no `{word}`"), remedy);
    }
}

fn kind(report: &mut Report, node: &Node) -> Option<At<StepKind>> {
    let remedy = "a step is `compensatable`, `pivot` or `retriable`";
    let text = text(report, node, "a kind", remedy)?;
    if let Some(kind) = StepKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
        return Some(At::new(kind, node.span.clone()));
    }
    let remedy = match nearest(text, StepKind::ALL.map(StepKind::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => remedy.to_owned(),
    };
    report.add(node.span.clone(), Rule::WrongType, format!("{} is no kind of step", quoted(text)), remedy);
    None
}

fn after(report: &mut Report, node: &Node) -> Option<At<Vec<At<String>>>> {
    let remedy = "write `after: [name]`, or leave it out: each step follows the one above";
    let Yaml::List(items) = &node.yaml else {
        let message = format!("`after` is a list of steps, and {} was found", node.yaml.kind());
        let remedy = match &node.yaml {
            Yaml::Text(name) => format!("write `after: [{}]`", name.chars().take(80).collect::<String>()),
            _ => remedy.to_owned(),
        };
        report.add(node.span.clone(), Rule::WrongType, message, remedy);
        return None;
    };
    let names: Vec<Option<At<String>>> = items
        .iter()
        .map(|item| {
            let name = text(report, item, "the name of a step", remedy)?;
            Some(At::new(name.to_owned(), item.span.clone()))
        })
        .collect();
    Some(At::new(names.into_iter().collect::<Option<Vec<_>>>()?, node.span.clone()))
}
