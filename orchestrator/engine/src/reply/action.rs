//! A final outcome of a step's action.

use amends_contract::{Direction, Outcome};
use amends_definition::StepKind;
use amends_planted::{Bug, planted};

use crate::draft::Draft;
use crate::{
    ActionState, Alarm, Ask, Decision, Failure, FenceWhy, Ignored, Phase, StuckWhy, UndoState, epoch, turn,
};

/// Takes `succeeded`, `rejected` or `cancelled`.
pub(super) fn settle(draft: &mut Draft<'_>, index: usize, outcome: &Outcome) -> Result<(), Ignored> {
    let step = draft.step(index);
    let ask = match &step.action {
        ActionState::InFlight(flight) => flight.ask,
        ActionState::Stuck(stuck) => stuck.ask,
        _ => Ask::Command,
    };
    let over = matches!(draft.saga.phase, Phase::Done(_));
    match (&step.action, outcome) {
        // What an abandoned saga has left open.
        (ActionState::InFlight(_) | ActionState::Stuck(_), _) if over => {
            learn(draft, index, outcome);
            Ok(())
        }
        (ActionState::InFlight(_) | ActionState::Stuck(_), Outcome::Succeeded { output }) => {
            // What happened goes before what an operator says or wants.
            turn::drop_intent(draft, index, Direction::Forward);
            epoch::settle(draft, index, Direction::Forward, output.clone(), false);
            Ok(())
        }
        (ActionState::InFlight(_) | ActionState::Stuck(_), Outcome::Rejected { code, message }) => {
            rejected(draft, index, code, message)
        }
        (ActionState::InFlight(_) | ActionState::Stuck(_), Outcome::Cancelled) => {
            cancelled(draft, index, ask)
        }
        (ActionState::Unknown, _) => {
            learn(draft, index, outcome);
            Ok(())
        }
        (ActionState::Succeeded { .. }, Outcome::Succeeded { .. }) if planted(Bug::DuplicateReply) => {
            learn(draft, index, outcome);
            Ok(())
        }
        // Settled by hand, its id had been closed.
        (ActionState::Succeeded { by_hand: true, .. }, Outcome::Succeeded { .. }) => {
            super::alarm(draft, index, Alarm::SucceededAfterClosed)
        }
        (ActionState::Succeeded { by_hand: true, .. }, Outcome::Rejected { .. } | Outcome::Cancelled)
        | (ActionState::Succeeded { .. }, Outcome::Succeeded { .. })
        | (ActionState::Rejected { .. }, Outcome::Rejected { .. })
        | (ActionState::Cancelled, Outcome::Cancelled) => Err(Ignored::Duplicate),
        (ActionState::Rejected { .. }, Outcome::Succeeded { .. }) => {
            super::alarm(draft, index, Alarm::SucceededAfterRejected)
        }
        (ActionState::Cancelled, Outcome::Succeeded { .. }) => {
            super::alarm(draft, index, Alarm::SucceededAfterCancelled)
        }
        _ => Err(Ignored::Contradiction),
    }
}

fn rejected(draft: &mut Draft<'_>, index: usize, code: &str, message: &str) -> Result<(), Ignored> {
    let (step, phase) = (draft.reference(index), draft.saga.phase);
    match draft.kind(index) {
        StepKind::Retriable => stick(draft, index, StuckWhy::Rejected, format!("{code}: {message}")),
        StepKind::Compensatable | StepKind::Pivot => {
            let failure =
                Failure { step: Some(step.name.clone()), code: code.to_owned(), detail: message.to_owned() };
            let (code, message) = (code.to_owned(), message.to_owned());
            draft.decide(Decision::Rejected { step, code, message });
            // Backward, it was the answer to a fence.
            if phase == Phase::Forward {
                turn::turn(draft, failure);
            }
            Ok(())
        }
    }
}

fn cancelled(draft: &mut Draft<'_>, index: usize, ask: Ask) -> Result<(), Ignored> {
    let step = draft.reference(index);
    match ask {
        // What an operator wanted of it, `epoch` has seen to.
        Ask::Command | Ask::Fence(FenceWhy::Epoch | FenceWhy::Settle) => {
            stick(draft, index, StuckWhy::Cancelled, String::new())
        }
        Ask::Fence(FenceWhy::Turn | FenceWhy::Abandon) => {
            draft.decide(Decision::Cancelled { step });
            Ok(())
        }
        Ask::Fence(FenceWhy::Pivot) => {
            draft.decide(Decision::Cancelled { step });
            if let Some(failure) = draft.saga.doubt.clone() {
                turn::turn(draft, failure);
            }
            Ok(())
        }
    }
}

fn stick(draft: &mut Draft<'_>, index: usize, why: StuckWhy, detail: String) -> Result<(), Ignored> {
    super::stick(draft, index, Direction::Forward, why, detail)
}

/// A late answer: it changes what is known, never the direction, and frees an undo whose reason to be
/// stuck it settles.
fn learn(draft: &mut Draft<'_>, index: usize, outcome: &Outcome) {
    let step = draft.step(index);
    let name = step.reference();
    let over = matches!(draft.saga.phase, Phase::Done(_));
    let undone_in_vain = step.undo == UndoState::NothingToUndo;
    let stuck = step.stuck(Direction::Backward).map(|stuck| (stuck.why, stuck.ask));
    match outcome {
        Outcome::Succeeded { output } => {
            draft.decide(Decision::Succeeded { step: name.clone(), output: output.clone(), by_hand: false });
            if undone_in_vain {
                draft.decide(Decision::Alarmed { step: name, alarm: Alarm::SucceededAfterNothingToUndo });
            } else if let Some((StuckWhy::PendingMax, ask)) = stuck
                && !over
            {
                // It was stuck because nobody knew whether the action had happened.
                let attempts = draft.attempts(index, Direction::Backward);
                draft.send_again(index, Direction::Backward, ask, attempts);
            }
            return;
        }
        Outcome::Rejected { code, message } => {
            let (code, message) = (code.clone(), message.clone());
            draft.decide(Decision::Rejected { step: name.clone(), code, message });
        }
        _ => draft.decide(Decision::Cancelled { step: name.clone() }),
    }
    // It never ran and never will: whatever the undo is stuck at, there is nothing to undo.
    if stuck.is_some() {
        turn::drop_intent(draft, index, Direction::Backward);
        draft.decide(Decision::NothingToUndo { step: name });
    }
}
