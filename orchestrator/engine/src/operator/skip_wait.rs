//! `skip-wait`: what only waits for its time goes on now: a back-off, the wait for a signal, the start.
//!
//! Invariant: a signal that is not waited for any more counts as one that did not come in time.

use crate::draft::{BOTH, Draft};
use crate::{ActionState, Decision, Saga, StepState, Verdict, Wait, timer};

pub(super) fn refusal(saga: &Saga) -> Option<String> {
    super::paused(saga).or_else(|| match saga.start_at.is_some() || saga.steps.iter().any(waits) {
        true => None,
        false => Some("nothing is backing off, no signal is awaited, and the saga has begun".to_owned()),
    })
}

pub(super) fn take(draft: &mut Draft<'_>) -> Verdict {
    if draft.saga.start_at.is_some() {
        draft.decide(Decision::Begun);
    }
    let steps = 0..draft.saga.steps.len();
    // The signals first: if one turns the saga, the rest is not asked for any more.
    for index in steps.clone() {
        if matches!(draft.step(index).action, ActionState::Awaiting(_)) {
            timer::time_out(draft, index);
        }
    }
    for index in steps {
        for effect in BOTH {
            let Some((flight, sent)) = draft.flight(index, effect) else { continue };
            if flight.wait == Wait::BackingOff {
                let (ask, left) = (flight.ask, sent.left);
                draft.send_again(index, effect, ask, left);
            }
        }
    }
    Verdict::Applied
}

fn waits(step: &StepState) -> bool {
    let backs_off = BOTH.iter().filter_map(|effect| step.flight(*effect)).any(|f| f.wait == Wait::BackingOff);
    backs_off || matches!(step.action, ActionState::Awaiting(_))
}
