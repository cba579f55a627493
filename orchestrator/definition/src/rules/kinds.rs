//! Kinds: what comes before the point of no return can be undone, what comes after it succeeds in the end.
//!
//! Invariant: in a definition that passes, no step runs while it is open on which side of the pivot it is.

use crate::draft::{At, StepDraft};
use crate::graph::Graph;
use crate::report::Report;
use crate::{Rule, StepKind};

/// Gives steps that wait, and do not say of what kind they are, the kind that their place gives them.
pub(crate) fn infer(steps: &mut [StepDraft], graph: &Graph) {
    let pivot = pivot(steps);
    for (position, step) in steps.iter_mut().enumerate() {
        let behind = pivot.is_some_and(|pivot| graph.is_before(pivot, position));
        let kind = if behind { StepKind::Retriable } else { StepKind::Compensatable };
        take(step, kind);
    }
}

/// The same for `on_compensated`, where everything is retriable.
pub(crate) fn infer_compensated(steps: &mut [StepDraft]) {
    steps.iter_mut().for_each(|step| take(step, StepKind::Retriable));
}

fn take(step: &mut StepDraft, kind: StepKind) {
    if let (None, Some(waiting)) = (&step.kind, step.as_await()) {
        step.kind = Some(At::new(kind, waiting.span.clone()));
    }
}

fn pivot(steps: &[StepDraft]) -> Option<usize> {
    steps.iter().position(|step| step.kind() == Some(StepKind::Pivot))
}

/// At most one pivot, which always runs once; every compensatable step before it, every retriable behind.
pub(super) fn check(report: &mut Report, steps: &[StepDraft], graph: &Graph) {
    let pivot = pivot(steps);
    for (position, step) in steps.iter().enumerate() {
        let Some(kind) = &step.kind else { continue };
        if kind.value == StepKind::Pivot {
            check_pivot(report, step, kind, pivot == Some(position));
        } else if let Some(pivot) = pivot {
            check_side(report, steps, graph, (pivot, position));
        } else if kind.value == StepKind::Retriable && steps.iter().all(|step| step.kind.is_some()) {
            // With a step of unknown kind, there may be a pivot.
            let message = format!("`{}` is retriable and there is no pivot before it", step.called());
            let remedy =
                "make it compensatable, or put the pivot before it: what is retriable cannot be taken back";
            report.add(kind.span.clone(), Rule::KindOrder, message, remedy);
        }
    }
}

fn check_pivot(report: &mut Report, step: &StepDraft, kind: &At<StepKind>, is_first: bool) {
    let name = step.called();
    if !is_first {
        let message = format!("`{name}` is a second pivot");
        let remedy = "keep one point of no return; what comes before it is compensatable, after it retriable";
        report.add(kind.span.clone(), Rule::KindOrder, message, remedy);
    }
    if let Some(when) = &step.when {
        let message = format!(
            "`{name}` is the pivot and has `when`: without it, nothing would be the point of no return"
        );
        let remedy = "let the pivot always run, and give `when` to steps before or behind it";
        report.add(when.span.clone(), Rule::KindOrder, message, remedy);
    }
    if let Some(for_each) = &step.for_each {
        let message =
            format!("`{name}` is the pivot and has `for_each`: there is one point of no return, not many");
        let remedy =
            "prepare the elements in a compensatable step before it, and make them final with one command";
        report.add(for_each.span.clone(), Rule::KindOrder, message, remedy);
    }
}

/// Whether a step stands on the side of the pivot on which its kind may stand.
fn check_side(report: &mut Report, steps: &[StepDraft], graph: &Graph, (pivot, position): (usize, usize)) {
    let step = &steps[position];
    let Some(kind) = step.kind.as_ref().filter(|_| graph.is_known()) else { return };
    let (is_before, is_behind) = (graph.is_before(position, pivot), graph.is_before(pivot, position));
    let (name, pivot_name) = (step.called(), steps[pivot].called());
    let (message, remedy) = match (kind.value, is_before, is_behind) {
        (StepKind::Compensatable, false, true) => (
            format!("`{name}` is compensatable and stands behind the pivot `{pivot_name}`"),
            "move it before the pivot, or make it retriable".to_owned(),
        ),
        (StepKind::Retriable, true, false) => (
            format!("`{name}` is retriable and stands before the pivot `{pivot_name}`"),
            "make it compensatable, or put the pivot before it: what is retriable cannot be taken back"
                .to_owned(),
        ),
        (_, false, false) if follows_a_flaw(steps, graph, (pivot, position)) => return,
        (kind, false, false) => {
            let before = format!(
                "to run it before, write {} at `{pivot_name}`",
                with_after(steps, graph, pivot, name)
            );
            let behind =
                format!("to run it behind, write {} here", with_after(steps, graph, position, pivot_name));
            let remedy = match kind {
                _ if step.as_await().is_some() => format!("{before}; {behind}"),
                StepKind::Compensatable => before,
                StepKind::Pivot | StepKind::Retriable => behind,
            };
            let message =
                format!("`{name}` runs beside the pivot `{pivot_name}`, neither before nor behind it");
            (message, remedy)
        }
        _ => return,
    };
    report.add(kind.span.clone(), Rule::KindOrder, message, remedy);
}

/// Whether the remedy for another step beside the pivot mends this one, too: the first of a branch that
/// belongs behind, the last of a branch that belongs before.
fn follows_a_flaw(steps: &[StepDraft], graph: &Graph, (pivot, position): (usize, usize)) -> bool {
    let kind = steps[position].kind();
    (0..steps.len()).any(|other| {
        let is_beside = !graph.is_before(other, pivot) && !graph.is_before(pivot, other) && other != pivot;
        let is_nearer = match kind {
            Some(StepKind::Compensatable) => graph.is_before(position, other),
            _ => graph.is_before(other, position),
        };
        is_beside && is_nearer && steps[other].kind() == kind
    })
}

/// The `after` of a step with one name more, ready to be copied.
fn with_after(steps: &[StepDraft], graph: &Graph, position: usize, name: &str) -> String {
    let names = graph.after(position).iter().map(|before| steps[*before].called());
    format!("`after: [{}]`", names.chain([name]).collect::<Vec<_>>().join(", "))
}

/// When everything is undone, only retriable steps are left to run.
pub(super) fn check_compensated(report: &mut Report, steps: &[StepDraft]) {
    for step in steps {
        let Some(kind) = step.kind.as_ref().filter(|kind| kind.value != StepKind::Retriable) else {
            continue;
        };
        let message = format!("a step of `on_compensated` is of kind {}", kind.value);
        let remedy = "make it retriable: nothing can undo it any more";
        report.add(kind.span.clone(), Rule::KindOrder, message, remedy);
    }
}
