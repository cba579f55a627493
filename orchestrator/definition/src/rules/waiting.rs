//! Steps that wait for a signal.
//!
//! Invariant: every signal wakes exactly one step, and a timeout never asks for what its place forbids.

use std::collections::BTreeMap;

use crate::draft::{AwaitDraft, Draft, StepDraft};
use crate::graph::Graph;
use crate::report::Report;
use crate::{OnTimeout, Rule, StepKind};

pub(super) fn check(report: &mut Report, draft: &Draft, graph: &Graph) {
    let mut waits = BTreeMap::new();
    for step in draft.steps.iter().chain(&draft.on_compensated) {
        let Some(waiting) = step.as_await() else { continue };
        if let Some(signal) = &waiting.signal
            && let Some(first) = waits.insert(&signal.value, step.called())
        {
            let message = format!("`{first}` waits for the signal `{}` already", signal.value);
            report.add(signal.span.clone(), Rule::Await, message, "give each signal a name of its own");
        }
        check_kind(report, step);
    }
    if graph.is_known() {
        draft.steps.iter().for_each(|step| check_timeout(report, step, "behind the pivot"));
    }
    draft.on_compensated.iter().for_each(|step| check_timeout(report, step, "in `on_compensated`"));
}

fn check_kind(report: &mut Report, step: &StepDraft) {
    let Some(kind) = step.kind.as_ref().filter(|kind| kind.value == StepKind::Pivot) else { return };
    let message = format!("`{}` waits for a signal and is the pivot", step.called());
    let remedy =
        "leave `kind` out, and make the step that follows the pivot: it does what cannot be taken back";
    report.add(kind.span.clone(), Rule::Await, message, remedy);
}

/// What stands behind the point of no return cannot turn the saga backward.
fn check_timeout(report: &mut Report, step: &StepDraft, place: &str) {
    let Some(AwaitDraft { timeout_ms, on_timeout, .. }) = step.as_await() else { return };
    if step.kind() != Some(StepKind::Retriable) {
        return;
    }
    let (span, message) = match (on_timeout, timeout_ms) {
        (Some(on_timeout), _) if on_timeout.value == OnTimeout::Compensate => (
            on_timeout.span.clone(),
            format!("`{}` stands {place}, where nothing is compensated", step.called()),
        ),
        (None, Some(timeout)) => (
            timeout.span.clone(),
            format!("`{}` stands {place}, and a timeout compensates unless it says otherwise", step.called()),
        ),
        _ => return,
    };
    report.add(span, Rule::Await, message, "say `on_timeout: go-on`, or wait without a timeout");
}
