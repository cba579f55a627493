//! Whom steps call, and who undoes them.
//!
//! Invariant: what did something also undoes it, and no saga begins itself.

use crate::draft::{At, Does, Draft, StepDraft, UndoDraft};
use crate::report::Report;
use crate::{Call, Rule, StepKind};

pub(super) fn check(report: &mut Report, draft: &Draft) {
    for step in draft.steps.iter().chain(&draft.on_compensated) {
        if let Does::Call(call) = &step.does {
            check_recursion(report, draft, call);
        }
        if let UndoDraft::Call { call, .. } = &step.undo {
            check_recursion(report, draft, call);
        }
        check_undo(report, step);
    }
}

/// Longer rings of sagas cannot be seen in one file.
fn check_recursion(report: &mut Report, draft: &Draft, call: &At<Call>) {
    let Call::Saga(child) = &call.value else { return };
    if draft.name.as_ref().is_some_and(|name| name.value == child.address.command) {
        let message = format!("the saga `{}` calls itself: it would never end", child.address.command);
        report.add(call.span.clone(), Rule::Call, message, "call another saga, or use `for_each`");
    }
}

fn check_undo(report: &mut Report, step: &StepDraft) {
    let Some(kind) = step.kind.as_ref().filter(|_| step.as_await().is_none()) else { return };
    let name = step.called();
    match (kind.value, &step.undo) {
        (StepKind::Compensatable, UndoDraft::Absent) => {
            let message = format!("`{name}` is compensatable and does not say how it is undone");
            let remedy = match &step.does {
                Does::Call(At { value: Call::Saga(_), .. }) => {
                    "add `undo: { saga: <name> }`, or `undo: none` with a `because:`".to_owned()
                }
                Does::Call(At { value: Call::Command(address), .. }) => {
                    format!(
                        "add `undo: {}.<command>`, or `undo: none` with a `because:`",
                        address.participant
                    )
                }
                _ => "add `undo: participant.command`, or `undo: none` with a `because:`".to_owned(),
            };
            report.add(kind.span.clone(), Rule::Undo, message, remedy);
        }
        (StepKind::Compensatable, UndoDraft::Call { call, .. }) => {
            if let Does::Call(action) = &step.does {
                check_pair(report, name, &action.value, call);
            }
        }
        (StepKind::Pivot | StepKind::Retriable, UndoDraft::Call { call: At { span, .. }, .. })
        | (StepKind::Pivot | StepKind::Retriable, UndoDraft::None { span, .. }) => {
            let message = format!("`{name}` is of kind {} and says how it is undone", kind.value);
            let remedy = "remove `undo`: only a compensatable step is ever undone";
            report.add(span.clone(), Rule::Undo, message, remedy);
        }
        _ => {}
    }
}

fn check_pair(report: &mut Report, name: &str, action: &Call, undo: &At<Call>) {
    let (message, remedy) = match (action, &undo.value) {
        (Call::Command(action), Call::Command(undo)) if action.participant != undo.participant => (
            format!("`{name}` is done by `{}` and undone by `{}`", action.participant, undo.participant),
            "let the same participant undo it: only its inbox knows what was done",
        ),
        (Call::Command(action), Call::Command(undo)) if action == undo => (
            format!("`{name}` is done and undone by the same command"),
            "name the command that takes it back",
        ),
        (Call::Saga(action), Call::Saga(undo)) if action.address == undo.address => {
            (format!("`{name}` is done and undone by the same saga"), "name the saga that takes it back")
        }
        (Call::Saga(_), Call::Command(undo)) => (
            format!("`{name}` is a saga, and `{undo}` is to undo it"),
            "write `undo: { saga: <name> }`: what a saga did, only a saga can take back",
        ),
        (Call::Command(_), Call::Saga(_)) => (
            format!("`{name}` is done by a participant and undone by a saga"),
            "let the same participant undo it: only its inbox knows what was done",
        ),
        _ => return,
    };
    report.add(undo.span.clone(), Rule::Undo, message, remedy);
}
