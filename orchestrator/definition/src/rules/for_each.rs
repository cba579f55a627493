//! Lists over which steps run.
//!
//! Invariant: however long the lists of an input are, a saga has a bounded number of parts.

use crate::Rule;
use crate::draft::Draft;
use crate::limits::FOR_EACH_MAX;
use crate::report::Report;

pub(super) fn check(report: &mut Report, draft: &Draft) {
    let mut sum = 0_u32;
    for step in draft.steps.iter().chain(&draft.on_compensated) {
        let Some(for_each) = &step.for_each else { continue };
        sum = sum.saturating_add(for_each.at_most.value);
        if sum > FOR_EACH_MAX {
            let message = format!(
                "the lists of all `for_each` may have {sum} elements together; at most {FOR_EACH_MAX} are allowed"
            );
            let remedy = "lower `at_most`, or start a saga for each part of the list";
            report.add(for_each.at_most.span.clone(), Rule::ForEach, message, remedy);
            return;
        }
    }
}
