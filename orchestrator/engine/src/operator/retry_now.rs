//! `retry-now`: what is open is sent at once, whatever it waits for, and attempts count anew.
//!
//! Invariant: it asks what was asked before. Only what was stuck before anything was sent is decided anew.

use amends_contract::Direction;

use crate::draft::{BOTH, Draft};
use crate::{Ask, Decision, Saga, StepState, StuckWhy, Verdict};

pub(super) fn refusal(saga: &Saga) -> Option<String> {
    let open = |step: &StepState| BOTH.iter().any(|effect| open(step, *effect).is_some());
    super::paused(saga).or_else(|| match saga.steps.iter().any(open) {
        true => None,
        false => Some("nothing is in flight or stuck that could be asked for again".to_owned()),
    })
}

pub(super) fn take(draft: &mut Draft<'_>) -> Verdict {
    for index in 0..draft.saga.steps.len() {
        for effect in BOTH {
            match open(draft.step(index), effect) {
                Some(Open::Sent(ask)) => {
                    let attempts = draft.attempts(index, effect);
                    draft.send_again(index, effect, ask, attempts);
                }
                Some(Open::Unsent) => {
                    let step = draft.reference(index);
                    draft.decide(Decision::Freed { step, effect });
                }
                None => {}
            }
        }
    }
    Verdict::Applied
}

enum Open {
    /// In flight, or stuck after that.
    Sent(Ask),
    /// Stuck before anything was sent.
    Unsent,
}

/// What can be asked for again in this direction. What waits for its place was never asked for, and what was
/// settled by hand nobody can be asked about.
fn open(step: &StepState, direction: Direction) -> Option<Open> {
    match (step.flight(direction), step.stuck(direction), step.effect(direction)) {
        (_, Some(stuck), _) if stuck.why == StuckWhy::ByHand => None,
        (_, Some(_), None) => Some(Open::Unsent),
        (_, _, Some(effect)) if effect.send_no == 0 => None,
        (Some(flight), _, _) => Some(Open::Sent(flight.ask)),
        (None, Some(stuck), _) => Some(Open::Sent(stuck.ask)),
        (None, None, _) => None,
    }
}
