//! `abandon`: the last resort. It ends the saga, and promises no balance.
//!
//! Invariant: what was asked for and has no outcome is fenced once, so that it cannot happen much later;
//! nobody waits for the answers, and the steps keep saying what nobody knew.

use amends_contract::{Direction, Json};

use crate::draft::{BOTH, Draft};
use crate::{ActionState, Ask, Decision, Ending, FenceWhy, StepState, StuckWhy, UndoState, Verdict, turn};

pub(super) fn take(draft: &mut Draft<'_>) -> Verdict {
    for index in 0..draft.saga.steps.len() {
        for effect in BOTH {
            turn::drop_intent(draft, index, effect);
        }
        match left_open(draft.step(index)) {
            Some(LeftOpen::Unsent) => {
                let step = draft.reference(index);
                draft.decide(Decision::Cancelled { step });
            }
            Some(LeftOpen::Sent(effect)) => {
                let attempts = draft.attempts(index, effect);
                draft.send_again(index, effect, Ask::Fence(FenceWhy::Abandon), attempts);
            }
            None => {}
        }
    }
    let (output, output_error) = (Json::NULL, None);
    draft.decide(Decision::Done { ending: Ending::Abandoned, output, output_error });
    Verdict::Applied
}

enum LeftOpen {
    /// The action was never sent, or its id is closed: it never runs.
    Unsent,
    /// This effect may still happen.
    Sent(Direction),
}

/// What of the step may still happen. A fence of the undo closes the action, too, if that has not run.
fn left_open(step: &StepState) -> Option<LeftOpen> {
    let sent = |effect| step.effect(effect).is_some_and(|effect| effect.send_no > 0);
    match (&step.action, &step.undo) {
        (_, UndoState::InFlight(_) | UndoState::Stuck(_)) if sent(Direction::Backward) => {
            Some(LeftOpen::Sent(Direction::Backward))
        }
        (ActionState::Awaiting(_), _) => Some(LeftOpen::Unsent),
        (ActionState::Stuck(stuck), _) if stuck.why == StuckWhy::Cancelled => Some(LeftOpen::Unsent),
        (ActionState::InFlight(_) | ActionState::Stuck(_), _) if !sent(Direction::Forward) => {
            Some(LeftOpen::Unsent)
        }
        (ActionState::InFlight(_) | ActionState::Stuck(_), _)
        | (ActionState::Unknown, UndoState::None | UndoState::Waiting | UndoState::Stuck(_)) => {
            Some(LeftOpen::Sent(Direction::Forward))
        }
        _ => None,
    }
}
