//! `edit-and-retry`: an effect that does not come about is tried with other data, in a new epoch.
//!
//! Invariant: the new epoch opens only when the old one is closed for ever. What was never sent is closed.

use amends_contract::{Direction, Json, StepRef};
use amends_definition::Definition;
use amends_planted::{Bug, planted};

use super::target::{self, Stands, Word};
use crate::draft::Draft;
use crate::{Saga, Then, Verdict, data, epoch};

/// The effects that an operator may try with other data now.
#[must_use]
pub fn editable(saga: &Saga, definition: &Definition) -> Vec<(StepRef, Direction)> {
    if super::over(saga).is_some() { Vec::new() } else { target::all(saga, definition, Word::Edit) }
}

pub(super) fn refusal(saga: &Saga, definition: &Definition) -> Option<String> {
    let nothing = "nothing is in flight or stuck that could be tried with other data".to_owned();
    editable(saga, definition).is_empty().then_some(nothing)
}

/// # Errors
/// Why it is refused.
pub(super) fn take(
    draft: &mut Draft<'_>,
    step: &StepRef,
    effect: Direction,
    data: &Json,
) -> Result<Verdict, String> {
    let (index, stands) = target::find(&draft.saga, draft.definition, step, effect, Word::Edit)?;
    data::check_edited(draft, index, effect, data).map_err(|trouble| trouble.detail)?;
    let data = data.clone();
    if stands == Stands::Sent && !planted(Bug::EpochWithoutFence) {
        return Ok(epoch::intend(draft, index, effect, Then::Retry { data }));
    }
    let queued = stands == Stands::Unsent && draft.queues(index, effect);
    epoch::open(draft, index, effect, data, queued);
    Ok(Verdict::Applied)
}
