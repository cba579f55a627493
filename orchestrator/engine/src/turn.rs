//! Turning backward: when, and with which plan.
//!
//! Invariant: a saga turns once, and never while its pivot may have happened.

use amends_contract::{Direction, Token};
use amends_definition::{Definition, StepKind, Undo};

use crate::draft::Draft;
use crate::{ActionState, Ask, Decision, Failure, FenceWhy, Saga, StuckWhy};

/// Turns backward, or, if the pivot is in flight, asks for its fate first.
pub(crate) fn turn_or_doubt(draft: &mut Draft<'_>, failure: Failure) {
    match pivot_in_flight(draft) {
        Some(index) => doubt(draft, index, failure),
        None => turn(draft, failure),
    }
}

/// Fences the pivot. The saga stays forward until the fence is answered.
pub(crate) fn doubt(draft: &mut Draft<'_>, index: usize, failure: Failure) {
    draft.decide(Decision::Doubted { failure });
    drop_intent(draft, index, Direction::Forward);
    fence(draft, index, FenceWhy::Pivot);
}

/// Turns backward. Every step that may have run is undone, later ones first; one without an undo whose
/// outcome is not known is fenced, so that it cannot happen behind our back.
pub(crate) fn turn(draft: &mut Draft<'_>, failure: Failure) {
    let forward = draft.forward();
    let has_undo = |index: &usize| matches!(draft.model(*index).undo, Some(Undo::Call { .. }));
    let is_undone = |index: &usize| draft.step(*index).may_have_run() && has_undo(index);
    let undone: Vec<usize> = forward.iter().copied().filter(is_undone).collect();
    let undo = undone.iter().map(|index| draft.reference(*index)).collect();
    draft.decide(Decision::Turned { failure, undo });

    for index in forward {
        drop_intent(draft, index, Direction::Forward);
        let step = draft.step(index);
        let name = step.reference();
        match &step.action {
            ActionState::Stuck(stuck) if stuck.why == StuckWhy::Cancelled => {
                draft.decide(Decision::Cancelled { step: name });
            }
            // What was never sent never will be, and nobody waits for a signal any more.
            ActionState::InFlight(_) if !step.may_have_run() => {
                draft.decide(Decision::Cancelled { step: name });
            }
            ActionState::Awaiting(_) => draft.decide(Decision::Cancelled { step: name }),
            ActionState::InFlight(_) | ActionState::Stuck(_) if undone.contains(&index) => {
                draft.decide(Decision::Unknown { step: name });
            }
            ActionState::InFlight(_) | ActionState::Stuck(_) => fence(draft, index, FenceWhy::Turn),
            _ => {}
        }
    }
}

/// The pivot that has succeeded: the point of no return is passed.
pub(crate) fn committed_by<'a>(saga: &'a Saga, definition: &Definition) -> Option<&'a Token> {
    let steps = definition.steps.iter().zip(&saga.steps);
    steps
        .filter(|(model, _)| model.kind == StepKind::Pivot)
        .find(|(_, step)| matches!(step.action, ActionState::Succeeded { .. }))
        .map(|(_, step)| &step.name)
}

/// The pivot, if it was sent and is not known to have run or to be impossible.
fn pivot_in_flight(draft: &Draft<'_>) -> Option<usize> {
    (0..draft.definition.steps.len())
        .find(|index| draft.kind(*index) == StepKind::Pivot && draft.step(*index).may_have_run())
}

/// What an operator wanted of the effect is void.
pub(crate) fn drop_intent(draft: &mut Draft<'_>, index: usize, effect: Direction) {
    if draft.step(index).effect(effect).is_some_and(|effect| effect.then.is_some()) {
        let step = draft.reference(index);
        draft.decide(Decision::Dropped { step, effect });
    }
}

/// Sends a fence instead of the command, with attempts of its own.
fn fence(draft: &mut Draft<'_>, index: usize, why: FenceWhy) {
    let attempts = draft.attempts(index, Direction::Forward);
    draft.send_again(index, Direction::Forward, Ask::Fence(why), attempts);
}
