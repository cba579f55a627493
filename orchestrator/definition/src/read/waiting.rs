//! `await`: which signal, how long, and what then.

use crate::draft::{At, AwaitDraft};
use crate::node::{Node, Yaml};
use crate::report::Report;
use crate::suggest::nearest;
use crate::{OnTimeout, Rule};

use super::fields::{Fields, Words};
use super::values::{duration, quoted, text, token};

pub(super) const AWAIT: Words = Words { what: "an await", known: &["signal", "timeout", "on_timeout"] };

pub(super) const ON_TIMEOUT: [(&str, OnTimeout); 2] =
    [("compensate", OnTimeout::Compensate), ("go-on", OnTimeout::GoOn)];

/// Reads `await: approval` as well as its long form.
pub(super) fn read(report: &mut Report, node: &Node) -> AwaitDraft {
    let mut draft = AwaitDraft { span: node.span.clone(), signal: None, timeout_ms: None, on_timeout: None };
    match &node.yaml {
        Yaml::Text(_) => draft.signal = token(report, node, SIGNAL),
        Yaml::Map(_) => {
            let Some(fields) = Fields::read(report, node, &AWAIT) else { return draft };
            let signal = fields.require(report, "signal", "say which: `await: { signal: approval }`");
            draft.signal = signal.and_then(|node| token(report, node, SIGNAL));
            draft.timeout_ms = fields
                .get("timeout")
                .and_then(|node| Some(At::new(duration(report, node)?, node.span.clone())));
            draft.on_timeout = fields.get("on_timeout").and_then(|node| on_timeout(report, node));
            if let (None, Some(span)) = (fields.get("timeout"), fields.key("on_timeout")) {
                let message =
                    "`on_timeout` says what happens when the time is over, and there is no `timeout`";
                report.add(span, Rule::Await, message, "add `timeout: 48h`, or remove `on_timeout`");
            }
        }
        other => {
            let message = format!("an await is the name of a signal, and {} was found", other.kind());
            let remedy = "write `await: approval`, or `await: { signal: approval, timeout: 48h }`";
            report.add(node.span.clone(), Rule::WrongType, message, remedy);
        }
    }
    draft
}

const SIGNAL: &str = "the name of a signal";

fn on_timeout(report: &mut Report, node: &Node) -> Option<At<OnTimeout>> {
    let remedy = "say `compensate` (the default) or `go-on`";
    let text = text(report, node, "`on_timeout`", remedy)?;
    if let Some((_, known)) = ON_TIMEOUT.iter().find(|(word, _)| *word == text) {
        return Some(At::new(*known, node.span.clone()));
    }
    let remedy = match nearest(text, ON_TIMEOUT.map(|(word, _)| word)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => remedy.to_owned(),
    };
    let message = format!("{} is no way to go on after a timeout", quoted(text));
    report.add(node.span.clone(), Rule::Await, message, remedy);
    None
}
