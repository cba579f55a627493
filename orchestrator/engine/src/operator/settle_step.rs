//! `settle-step`: an operator says how an effect ended, when no participant will.
//!
//! Invariant: whatever may still happen is fenced first, so that nothing happens twice: once by hand, and
//! once by a command that was long on its way.

use amends_contract::{Direction, Json, StepRef};
use amends_definition::Definition;
use amends_planted::{Bug, planted};

use super::target::{self, Stands, Word};
use crate::draft::Draft;
use crate::{ActionState, Saga, Then, Verdict, data, epoch};

/// The effects that an operator may settle by hand now.
#[must_use]
pub fn settleable(saga: &Saga, definition: &Definition) -> Vec<(StepRef, Direction)> {
    if super::over(saga).is_some() { Vec::new() } else { target::all(saga, definition, Word::Settle) }
}

pub(super) fn refusal(saga: &Saga, definition: &Definition) -> Option<String> {
    let nothing = "nothing is in flight, stuck or awaited that could be settled by hand".to_owned();
    settleable(saga, definition).is_empty().then_some(nothing)
}

/// # Errors
/// Why it is refused.
pub(super) fn take(
    draft: &mut Draft<'_>,
    step: &StepRef,
    effect: Direction,
    output: &Json,
) -> Result<Verdict, String> {
    let (index, stands) = target::find(&draft.saga, draft.definition, step, effect, Word::Settle)?;
    data::check_settled(draft, index, effect, output).map_err(|trouble| trouble.detail)?;
    let output = output.clone();
    let unknown = draft.step(index).action == ActionState::Unknown;
    match stands {
        Stands::Sent if !planted(Bug::SettledWithoutFence) => {
            return Ok(epoch::intend(draft, index, effect, Then::Settle { output }));
        }
        // The action may still run: a fence of its undo closes it, too.
        Stands::Unsent if effect == Direction::Backward && unknown => {
            draft.open_effect(index, effect, None, 1, true);
            return Ok(epoch::intend(draft, index, effect, Then::Settle { output }));
        }
        Stands::Sent | Stands::Unsent | Stands::Awaiting => {
            epoch::settle(draft, index, effect, output, true);
        }
    }
    Ok(Verdict::Applied)
}
