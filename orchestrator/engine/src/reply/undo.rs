//! A final outcome of a step's undo.

use amends_contract::{Direction, Outcome};

use crate::draft::Draft;
use crate::{ActionState, Alarm, Decision, Ignored, UndoState, turn};

/// Takes `undone` or `nothing_to_undo`.
pub(super) fn settle(draft: &mut Draft<'_>, index: usize, outcome: &Outcome) -> Result<(), Ignored> {
    if draft.step(index).stuck(Direction::Backward).is_some()
        || draft.step(index).flight(Direction::Backward).is_some()
    {
        // What happened goes before what an operator says or wants.
        turn::drop_intent(draft, index, Direction::Backward);
    }
    let state = draft.step(index);
    let step = state.reference();
    match (&state.undo, outcome) {
        (UndoState::InFlight(_) | UndoState::Stuck(_), Outcome::Undone { output }) => {
            draft.decide(Decision::Undone { step, output: output.clone(), by_hand: false });
            Ok(())
        }
        (UndoState::InFlight(_) | UndoState::Stuck(_), _) => {
            let known = matches!(state.action, ActionState::Succeeded { .. });
            draft.decide(Decision::NothingToUndo { step: step.clone() });
            if known {
                let alarm = Alarm::NothingToUndoAfterSucceeded;
                draft.decide(Decision::Alarmed { step, alarm });
            }
            Ok(())
        }
        // Settled by hand, its id had been closed.
        (UndoState::Undone { by_hand: true, .. }, Outcome::Undone { .. }) => {
            super::alarm(draft, index, Alarm::UndoneAfterClosed)
        }
        (UndoState::Undone { .. }, Outcome::Undone { .. })
        | (UndoState::NothingToUndo, Outcome::NothingToUndo) => Err(Ignored::Duplicate),
        (UndoState::None | UndoState::Waiting, _) => Err(Ignored::NotSent),
        (UndoState::Undone { .. } | UndoState::NothingToUndo, _) => Err(Ignored::Contradiction),
    }
}
