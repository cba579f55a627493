//! One step, and how it is undone.

use std::ops::Range;

use crate::draft::{At, StepDraft, UndoDraft};
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::suggest::nearest;
use crate::{Rule, StepKind};

use super::fields::{Fields, Words};
use super::retry::{Defaults, optional_duration, retry};
use super::template::template;
use super::values::{address, quoted, text, token};

const STEP: Words = Words {
    what: "a step",
    known: &[
        "name",
        "kind",
        "call",
        "with",
        "undo",
        "because",
        "retry",
        "resend_after",
        "pending_max",
        "after",
    ],
    later: &["when", "for_each", "as", "at_most", "concurrency", "await", "schemas"],
};

const UNDO: Words = Words { what: "an undo", known: &["call", "with", "retry", "resend_after"], later: &[] };

/// Reads one element of `steps` or `on_compensated`.
pub(super) fn step(report: &mut Report, node: &Node, defaults: Defaults) -> Option<StepDraft> {
    let fields = Fields::read(report, node, &STEP)?;
    let name = fields.require(report, "name", "give it a name: `name: reserve-stock`");
    let kind =
        fields.require(report, "kind", "say `kind: compensatable`, `kind: pivot` or `kind: retriable`");
    let call = match fields.get("await") {
        // An await calls nobody, and has been refused already.
        Some(_) => fields.get("call"),
        None => fields.require(report, "call", "say who does it: `call: participant.command`"),
    };
    Some(StepDraft {
        name: name.and_then(|node| token(report, node, "the name of a step")),
        kind: kind.and_then(|node| self::kind(report, node)),
        call: call.and_then(|node| self::call(report, node, "a call")),
        with: fields.get("with").and_then(|node| data(report, node)),
        undo: undo(report, &fields, defaults),
        retry: retry(report, fields.get("retry"), defaults.retry),
        resend_after_ms: optional_duration(report, fields.get("resend_after"))
            .unwrap_or(defaults.resend_after_ms),
        pending_max_ms: optional_duration(report, fields.get("pending_max")),
        after: fields.get("after").and_then(|node| after(report, node)),
    })
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

fn call(report: &mut Report, node: &Node, what: &str) -> Option<At<amends_contract::Address>> {
    if let Yaml::Map(_) = node.yaml {
        let message = "a call of another saga is not supported by this version yet";
        let remedy = "call a participant: `call: participant.command`";
        report.add(node.span.clone(), Rule::NotSupported, message, remedy);
        return None;
    }
    address(report, node, what)
}

/// `with`: a mapping, or an expression that gives one.
fn data(report: &mut Report, node: &Node) -> Option<crate::draft::TemplateDraft> {
    match &node.yaml {
        Yaml::Map(_) => Some(template(report, node)),
        Yaml::Text(text) if text.starts_with('=') => Some(template(report, node)),
        other => {
            let message = format!("`with` is a mapping, and {} was found", other.kind());
            let remedy = "write `with: { name: =input.name }`, or `with: =input` for all of it";
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
            None
        }
    }
}

fn undo(report: &mut Report, fields: &Fields<'_>, defaults: Defaults) -> UndoDraft {
    let none = fields.get("undo").filter(|node| matches!(&node.yaml, Yaml::Text(text) if text == "none"));
    if let Some(node) = none {
        return undo_none(report, fields, node.span.clone());
    }
    if let Some(span) = fields.key("because") {
        let message = "`because` says why a step is not undone, and this one does not say `undo: none`";
        report.add(span, Rule::Undo, message, "add `undo: none`, or remove `because`");
    }
    let Some(node) = fields.get("undo") else { return UndoDraft::Absent };
    match &node.yaml {
        Yaml::Map(_) => undo_call(report, node, defaults).unwrap_or(UndoDraft::Unreadable),
        Yaml::Text(_) => match address(report, node, "an undo") {
            Some(call) => UndoDraft::Call {
                call,
                with: None,
                retry: defaults.retry,
                resend_after_ms: defaults.resend_after_ms,
            },
            None => UndoDraft::Unreadable,
        },
        other => {
            let message = format!("an undo is a call, and {} was found", other.kind());
            let remedy = "write `undo: participant.command`, or `undo: none` with a `because:`";
            report.add(node.span.clone(), Rule::Undo, message, remedy);
            UndoDraft::Unreadable
        }
    }
}

fn undo_none(report: &mut Report, fields: &Fields<'_>, span: Range<usize>) -> UndoDraft {
    let remedy = "add `because: <why nothing has to be undone>`";
    let Some(node) = fields.get("because") else {
        report.add(span, Rule::Undo, "`undo: none` has no `because`", remedy);
        return UndoDraft::Unreadable;
    };
    match text(report, node, "`because`", remedy).map(str::trim) {
        Some("") => {
            report.add(node.span.clone(), Rule::Undo, "`because` is empty", remedy);
            UndoDraft::Unreadable
        }
        Some(because) => UndoDraft::None { span, because: because.to_owned() },
        None => UndoDraft::Unreadable,
    }
}

/// What an undo leaves out comes from the defaults, not from its step: how patiently something is tried
/// says nothing about how patiently it is taken back.
fn undo_call(report: &mut Report, node: &Node, defaults: Defaults) -> Option<UndoDraft> {
    let fields = Fields::read(report, node, &UNDO)?;
    let call = fields.require(report, "call", "say who undoes it: `call: participant.command`");
    let call = call.and_then(|node| self::call(report, node, "a call"));
    let with = fields.get("with").map(|node| data(report, node));
    let retry = retry(report, fields.get("retry"), defaults.retry);
    let resend_after_ms = optional_duration(report, fields.get("resend_after"));
    Some(UndoDraft::Call {
        call: call?,
        with: match with {
            Some(with) => Some(with?),
            None => None,
        },
        retry,
        resend_after_ms: resend_after_ms.unwrap_or(defaults.resend_after_ms),
    })
}

fn after(report: &mut Report, node: &Node) -> Option<At<Vec<At<String>>>> {
    let remedy = "write `after: [name]`, or leave it out: each step follows the one above";
    let Yaml::List(items) = &node.yaml else {
        let message = format!("`after` is a list of steps, and {} was found", node.yaml.kind());
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
