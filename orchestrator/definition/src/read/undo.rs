//! How a step is undone.

use std::ops::Range;

use crate::Rule;
use crate::draft::UndoDraft;
use crate::node::{Node, Yaml};
use crate::report::Report;

use super::call;
use super::fields::{Fields, Words};
use super::retry::{Defaults, optional_duration, retry};
use super::template::data;
use super::values::text;

pub(super) const UNDO: Words =
    Words { what: "an undo", known: &["call", "saga", "version", "with", "retry", "resend_after"] };

/// Reads `undo` and `because` of a step.
pub(super) fn read(report: &mut Report, fields: &Fields<'_>, defaults: Defaults) -> UndoDraft {
    let none = fields.get("undo").filter(|node| matches!(&node.yaml, Yaml::Text(text) if text == "none"));
    if let Some(node) = none {
        return none_because(report, fields, node.span.clone());
    }
    if let Some(span) = fields.key("because") {
        let message = "`because` says why a step is not undone, and this one does not say `undo: none`";
        report.add(span, Rule::Undo, message, "add `undo: none`, or remove `because`");
    }
    let Some(node) = fields.get("undo") else { return UndoDraft::Absent };
    match &node.yaml {
        Yaml::Map(_) => long(report, node, defaults).unwrap_or(UndoDraft::Unreadable),
        Yaml::Text(_) => match call::read(report, node, "an undo") {
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

fn none_because(report: &mut Report, fields: &Fields<'_>, span: Range<usize>) -> UndoDraft {
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
fn long(report: &mut Report, node: &Node, defaults: Defaults) -> Option<UndoDraft> {
    let fields = Fields::read(report, node, &UNDO)?;
    let call = undoer(report, &fields);
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

/// `call: participant.command`, or `saga: name` with its version.
fn undoer(report: &mut Report, fields: &Fields<'_>) -> Option<crate::draft::At<crate::Call>> {
    match (fields.get("call"), fields.key("saga")) {
        (Some(_), Some(span)) => {
            let message = "the undo says `call` and `saga`";
            report.add(span, Rule::Undo, message, "keep the one that undoes it");
            None
        }
        (None, Some(_)) => call::saga(report, fields),
        _ => {
            if let Some(span) = fields.key("version") {
                let message = "`version` belongs to a saga, and this undo calls a participant";
                report.add(
                    span,
                    Rule::Undo,
                    message,
                    "remove it, or write `undo: { saga: <name>, version: 1 }`",
                );
            }
            let remedy = "say who undoes it: `call: participant.command`, or `saga: <name>`";
            let node = fields.require(report, "call", remedy)?;
            call::read(report, node, "a call")
        }
    }
}
