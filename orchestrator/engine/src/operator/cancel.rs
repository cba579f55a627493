//! `cancel`, the owner's wish, and `compensate`, the same wanted by an operator.
//!
//! Invariant: behind the point of no return they are refused; before it, a pivot in flight is asked first.

use amends_definition::Definition;

use crate::draft::Draft;
use crate::{Decision, Failure, Ignored, Phase, Saga, Verdict, code, turn};

pub(super) fn refusal(saga: &Saga, definition: &Definition) -> Option<String> {
    match saga.phase {
        Phase::Forward => turn::committed_by(saga, definition)
            .map(|pivot| format!("the point of no return is passed: {pivot} has succeeded")),
        Phase::Backward | Phase::Done(_) => None,
    }
}

pub(super) fn take(draft: &mut Draft<'_>, actor: &str, reason: &str) -> Verdict {
    let detail = if reason.is_empty() { format!("cancelled by {actor}") } else { reason.to_owned() };
    let failure = Failure { step: None, code: code::CANCELLED.to_owned(), detail };
    match (draft.saga.phase, &draft.saga.doubt) {
        (Phase::Forward, None) => turn::turn_or_doubt(draft, failure),
        // The pivot is fenced already, for another reason: the owner's wish goes before it.
        (Phase::Forward, Some(doubt)) if doubt.code != code::CANCELLED => {
            draft.decide(Decision::Doubted { failure });
        }
        _ => return Verdict::Ignored(Ignored::Underway),
    }
    Verdict::Applied
}
