//! `starts_on`: a saga must not be started by its own kind.
//!
//! Invariant: none of the events that the orchestrator tells of a definition's sagas starts one of them.
//! Longer rings, over several definitions, cannot be seen in one file.

use crate::Rule;
use crate::draft::Draft;
use crate::report::Report;

/// What the orchestrator tells of every saga, under the definition's name.
const OWN_EVENTS: [&str; 5] = ["created", "parked", "completed", "compensated", "abandoned"];

pub(super) fn check(report: &mut Report, draft: &Draft) {
    let (Some(name), Some(starts_on)) = (&draft.name, &draft.starts_on) else { return };
    let Some(event) = &starts_on.event else { return };
    let (entity, happened) = &event.value;
    if *entity == name.value && OWN_EVENTS.contains(&happened.as_str()) {
        let message = format!(
            "`{entity}.{happened}` is told of every saga `{}`: each would start the next one, without end",
            name.value
        );
        report.add(
            event.span.clone(),
            Rule::StartsOn,
            message,
            "let an event of another saga or service start it",
        );
    }
}
