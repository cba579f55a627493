//! Rules that look at several words at once: names, kinds in order, undos.
//!
//! Invariant: a saga that keeps these rules can always settle: before the point of no return everything
//! has an undo, and after it nothing needs one.

use std::collections::BTreeMap;

use crate::draft::{At, Draft, StepDraft, UndoDraft};
use crate::report::Report;
use crate::suggest::nearest;
use crate::{Rule, StepKind};

/// Checks the draft as a whole.
pub(crate) fn check(report: &mut Report, file_name: &str, draft: &Draft) {
    check_file_name(report, file_name, draft);
    check_names(report, draft);
    check_order(report, &draft.steps);
    for step in &draft.on_compensated {
        check_compensated_kind(report, step);
    }
    for step in draft.steps.iter().chain(&draft.on_compensated) {
        check_undo(report, step);
    }
    check_after(report, &draft.steps);
    check_after(report, &draft.on_compensated);
}

/// A file that is called like another version is a copy that was changed in one place only. Files with
/// other kinds of names are nobody's mistake here.
fn check_file_name(report: &mut Report, file_name: &str, draft: &Draft) {
    let base = file_name.rsplit(['/', '\\']).next().unwrap_or(file_name);
    let Some(reference) = base.strip_suffix(".yaml") else { return };
    let Ok(called) = reference.parse::<amends_contract::DefinitionRef>() else { return };
    let remedy =
        |name: &str, version: u32| format!("call the file {name}.v{version}.yaml, or mend its contents");
    let (Some(name), Some(version)) = (&draft.name, &draft.version) else { return };
    if called.name != name.value {
        let message = format!("the file is called {base}, and the saga `{}`", name.value);
        report.add(name.span.clone(), Rule::FileName, message, remedy(&name.value, version.value));
    } else if called.version != version.value {
        let message = format!("the file is called {base}, and its version is {}", version.value);
        report.add(version.span.clone(), Rule::FileName, message, remedy(&name.value, version.value));
    }
}

fn check_names(report: &mut Report, draft: &Draft) {
    let mut first = BTreeMap::new();
    for name in draft.steps.iter().chain(&draft.on_compensated).filter_map(|step| step.name.as_ref()) {
        if first.insert(&name.value, ()).is_some() {
            let message = format!("two steps are called `{}`", name.value);
            report.add(name.span.clone(), Rule::DuplicateName, message, "give each step a name of its own");
        }
    }
}

/// Compensatable steps, then at most one pivot, then retriable steps.
fn check_order(report: &mut Report, steps: &[StepDraft]) {
    let kinds: Vec<(&StepDraft, &At<StepKind>)> =
        steps.iter().filter_map(|step| Some((step, step.kind.as_ref()?))).collect();
    let pivot = kinds.iter().position(|(_, kind)| kind.value == StepKind::Pivot);
    for (position, (step, kind)) in kinds.iter().enumerate() {
        let name = step.name().map_or("this step", |name| name.as_str());
        let after_pivot = pivot.is_some_and(|pivot| pivot < position);
        let (message, remedy) = match (kind.value, after_pivot) {
            (StepKind::Compensatable, true) => (
                format!("`{name}` is compensatable and stands behind the pivot"),
                "move it before the pivot, or make it retriable",
            ),
            (StepKind::Pivot, true) => (
                format!("`{name}` is a second pivot"),
                "keep one point of no return; what comes before it is compensatable, after it retriable",
            ),
            // With a step of unknown kind, there may be a pivot.
            (StepKind::Retriable, false) if pivot.is_some() || kinds.len() == steps.len() => (
                format!("`{name}` is retriable and stands before any pivot"),
                "make it compensatable, or put the pivot before it: what is retriable cannot be taken back",
            ),
            _ => continue,
        };
        report.add(kind.span.clone(), Rule::KindOrder, message, remedy);
    }
}

fn check_compensated_kind(report: &mut Report, step: &StepDraft) {
    let Some(kind) = step.kind.as_ref().filter(|kind| kind.value != StepKind::Retriable) else { return };
    let message = format!("a step of `on_compensated` is of kind {}", kind.value);
    report.add(
        kind.span.clone(),
        Rule::KindOrder,
        message,
        "make it retriable: nothing can undo it any more",
    );
}

fn check_undo(report: &mut Report, step: &StepDraft) {
    let Some(kind) = &step.kind else { return };
    let name = step.name().map_or("this step", |name| name.as_str());
    match (kind.value, &step.undo) {
        (StepKind::Compensatable, UndoDraft::Absent) => {
            let message = format!("`{name}` is compensatable and does not say how it is undone");
            let remedy = "add `undo: participant.command`, or `undo: none` with a `because:`";
            report.add(kind.span.clone(), Rule::Undo, message, remedy);
        }
        (StepKind::Compensatable, UndoDraft::Call { call, .. }) => {
            let Some(action) = &step.call else { return };
            if action.value.participant != call.value.participant {
                let message = format!(
                    "`{name}` is done by `{}` and undone by `{}`",
                    action.value.participant, call.value.participant
                );
                let remedy = "let the same participant undo it: only its inbox knows what was done";
                report.add(call.span.clone(), Rule::Undo, message, remedy);
            } else if action.value == call.value {
                let message = format!("`{name}` is done and undone by the same command");
                report.add(call.span.clone(), Rule::Undo, message, "name the command that takes it back");
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

/// This version runs steps one after the other, so `after` may only say what is so anyway.
fn check_after(report: &mut Report, steps: &[StepDraft]) {
    for (position, step) in steps.iter().enumerate() {
        let Some(after) = &step.after else { continue };
        let above = position.checked_sub(1).and_then(|above| steps[above].name());
        let names: Vec<&str> = after.value.iter().map(|name| name.value.as_str()).collect();
        if above.map_or(names.is_empty(), |above| names == [above.as_str()]) {
            continue;
        }
        let known: Vec<&str> =
            steps.iter().filter_map(|step| step.name()).map(|name| name.as_str()).collect();
        let mut unknown = after.value.iter().filter(|name| !known.contains(&name.value.as_str())).peekable();
        if unknown.peek().is_none() {
            let message = "`after` is not supported by this version yet, except for the step right above";
            let remedy = "leave it out: each step follows the one above";
            report.add(after.span.clone(), Rule::NotSupported, message, remedy);
        }
        for name in unknown {
            let remedy = match nearest(&name.value, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", known.join(", ")),
            };
            let message = format!("there is no step `{}`", name.value);
            report.add(name.span.clone(), Rule::UnknownName, message, remedy);
        }
    }
}
