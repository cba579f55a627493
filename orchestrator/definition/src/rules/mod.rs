//! Rules that look at several words at once: names, kinds over the graph, undos, awaits.
//!
//! Invariant: a saga that keeps these rules can always settle: before the point of no return everything
//! has an undo, and after it nothing needs one.

mod calls;
mod for_each;
pub(crate) mod kinds;
mod starts_on;
mod waiting;

use std::collections::BTreeMap;

use crate::Rule;
use crate::draft::Draft;
use crate::graph::Graph;
use crate::report::Report;

/// Checks the draft as a whole.
pub(crate) fn check(report: &mut Report, file_name: &str, draft: &Draft, graph: &Graph) {
    check_file_name(report, file_name, draft);
    check_names(report, draft);
    kinds::check(report, &draft.steps, graph);
    kinds::check_compensated(report, &draft.on_compensated);
    waiting::check(report, draft, graph);
    for_each::check(report, draft);
    calls::check(report, draft);
    starts_on::check(report, draft);
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
