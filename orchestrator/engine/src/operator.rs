//! The input "an operator, or the owner, wants something". One file for each kind of action.
//!
//! Invariant: whether an action is legal follows from the saga's state alone; a refusal says why, and what
//! would be legal instead, and changes nothing.

mod abandon;
mod cancel;
mod edit_and_retry;
mod pause;
mod retry_now;
mod settle_step;
mod skip_wait;
mod target;

use amends_definition::Definition;

pub use self::edit_and_retry::editable;
pub use self::settle_step::settleable;

use crate::draft::Draft;
use crate::{ActionKind, Ending, Error, OperatorAction, PausedBy, Phase, Saga, Verdict};

/// The actions that are legal now.
///
/// Of one that is under way already it says so as well: asking again changes nothing and harms nothing.
#[must_use]
pub fn allowed(saga: &Saga, definition: &Definition) -> Vec<ActionKind> {
    ActionKind::ALL.into_iter().filter(|action| refusal(saga, definition, *action).is_none()).collect()
}

/// Takes an operator's action.
pub(crate) fn operate(
    draft: &mut Draft<'_>,
    action: &OperatorAction,
    actor: &str,
    reason: &str,
) -> Result<Verdict, Error> {
    take(draft, action, actor, reason).map_err(|why| {
        let allowed = allowed(&draft.saga, draft.definition);
        Error::Refused { why, allowed: allowed.iter().map(|action| action.name().to_owned()).collect() }
    })
}

/// Refused, it has changed nothing.
fn take(
    draft: &mut Draft<'_>,
    action: &OperatorAction,
    actor: &str,
    reason: &str,
) -> Result<Verdict, String> {
    let refusal = match action {
        OperatorAction::Resume { by } => {
            over(&draft.saga).or_else(|| pause::resume_refusal(&draft.saga, *by))
        }
        // They say for themselves what is wrong with this very step.
        OperatorAction::EditAndRetry { .. } | OperatorAction::SettleStep { .. } => over(&draft.saga),
        _ => refusal(&draft.saga, draft.definition, action.kind()),
    };
    refusal.map_or(Ok(()), Err)?;
    Ok(match action {
        OperatorAction::RetryNow => retry_now::take(draft),
        OperatorAction::SkipWait => skip_wait::take(draft),
        OperatorAction::Cancel | OperatorAction::Compensate => cancel::take(draft, actor, reason),
        OperatorAction::Pause { by } => pause::pause(draft, *by),
        OperatorAction::Resume { by } => pause::resume(draft, *by),
        OperatorAction::Abandon => abandon::take(draft),
        OperatorAction::EditAndRetry { step, effect, data } => {
            edit_and_retry::take(draft, step, *effect, data)?
        }
        OperatorAction::SettleStep { step, effect, output } => {
            settle_step::take(draft, step, *effect, output)?
        }
    })
}

/// Why no action of the kind is legal; `None` if one is.
fn refusal(saga: &Saga, definition: &Definition, action: ActionKind) -> Option<String> {
    over(saga).or_else(|| match action {
        ActionKind::RetryNow => retry_now::refusal(saga),
        ActionKind::SkipWait => skip_wait::refusal(saga),
        ActionKind::Cancel | ActionKind::Compensate => cancel::refusal(saga, definition),
        ActionKind::Resume => pause::resume_refusal(saga, PausedBy::Operator),
        ActionKind::EditAndRetry => edit_and_retry::refusal(saga, definition),
        ActionKind::SettleStep => settle_step::refusal(saga, definition),
        ActionKind::Pause | ActionKind::Abandon => None,
    })
}

/// Nothing can be done to what is over.
fn over(saga: &Saga) -> Option<String> {
    match saga.phase {
        Phase::Done(Ending::Completed) => Some("the saga is completed".to_owned()),
        Phase::Done(Ending::Compensated) => Some("the saga is compensated".to_owned()),
        Phase::Done(Ending::Abandoned) => Some("the saga is abandoned".to_owned()),
        Phase::Forward | Phase::Backward => None,
    }
}

/// What would send something at once has to wait while nothing is sent.
fn paused(saga: &Saga) -> Option<String> {
    saga.paused.as_ref().map(|paused| match paused.by {
        PausedBy::Operator => "the saga is paused: resume it first".to_owned(),
        PausedBy::Definition => "the saga's definition is paused: resume that first".to_owned(),
        PausedBy::Both => "the saga is paused, and so is its definition: resume both first".to_owned(),
    })
}
