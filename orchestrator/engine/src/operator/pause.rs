//! `pause` and `resume`: nothing is sent, and all clocks stand still. Replies still count.
//!
//! Invariant: a pause of the saga and one of its definition stand beside each other. Each is ended by its
//! own resume, and the saga goes on when both are.

use crate::draft::Draft;
use crate::{Decision, Ignored, PausedBy, Saga, Verdict};

pub(super) fn pause(draft: &mut Draft<'_>, by: PausedBy) -> Verdict {
    let before = draft.saga.paused.as_ref().map(|paused| paused.by);
    let by = before.map_or(by, |before| before.and(by));
    if before == Some(by) {
        return Verdict::Ignored(Ignored::Underway);
    }
    draft.decide(Decision::Paused { by });
    Verdict::Applied
}

pub(super) fn resume_refusal(saga: &Saga, by: PausedBy) -> Option<String> {
    let Some(paused) = &saga.paused else { return Some("the saga is not paused".to_owned()) };
    match (paused.by, by) {
        (PausedBy::Definition, PausedBy::Operator) => {
            Some("not the saga is paused but its definition: resume that".to_owned())
        }
        (PausedBy::Operator, PausedBy::Definition) => {
            Some("not the definition paused the saga but an operator: resume the saga itself".to_owned())
        }
        _ => None,
    }
}

pub(super) fn resume(draft: &mut Draft<'_>, by: PausedBy) -> Verdict {
    let Some(paused) = &draft.saga.paused else { return Verdict::Ignored(Ignored::Underway) };
    match paused.by.without(by) {
        Some(by) => draft.decide(Decision::Paused { by }),
        None => {
            let shift_ms = draft.now.ms_since(paused.since);
            draft.decide(Decision::Resumed { shift_ms });
        }
    }
    Verdict::Applied
}
