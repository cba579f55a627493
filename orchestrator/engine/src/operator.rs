//! The input "an operator, or the owner, wants something".
//!
//! Invariant: whether an action is legal follows from the saga's state alone; a refusal says why, and what
//! would be legal instead.

use amends_contract::Direction;
use amends_definition::Definition;

use crate::draft::{BOTH, Draft};
use crate::{
    ActionKind, Ask, Decision, Ending, Error, Failure, Ignored, OperatorAction, Phase, Saga, StepState,
    Verdict, code, turn,
};

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
    if let Some(why) = refusal(&draft.saga, draft.definition, action.kind()) {
        let allowed = allowed(&draft.saga, draft.definition);
        let allowed = allowed.iter().map(|action| action.name().to_owned()).collect();
        return Err(Error::Refused { why, allowed });
    }
    Ok(match action {
        OperatorAction::RetryNow => retry_now(draft),
        OperatorAction::Cancel | OperatorAction::Compensate => cancel(draft, actor, reason),
        _ => Verdict::Ignored(Ignored::Underway),
    })
}

/// Why the action is not legal; `None` if it is.
fn refusal(saga: &Saga, definition: &Definition, action: ActionKind) -> Option<String> {
    match (saga.phase, action) {
        (Phase::Done(Ending::Completed), _) => Some("the saga is completed".to_owned()),
        (Phase::Done(Ending::Compensated), _) => Some("the saga is compensated".to_owned()),
        (Phase::Done(Ending::Abandoned), _) => Some("the saga is abandoned".to_owned()),
        (Phase::Forward, ActionKind::Cancel | ActionKind::Compensate) => {
            let pivot = turn::committed_by(saga, definition)?;
            Some(format!("the point of no return is passed: {pivot} has succeeded"))
        }
        (Phase::Backward, ActionKind::Cancel | ActionKind::Compensate)
        | (Phase::Forward | Phase::Backward, ActionKind::RetryNow) => None,
        _ => Some("this is not known yet".to_owned()),
    }
}

fn retry_now(draft: &mut Draft<'_>) -> Verdict {
    for index in 0..draft.saga.steps.len() {
        for effect in BOTH {
            let step = draft.step(index);
            let Some(ask) = asked(step, effect) else { continue };
            if let Some(sent) = step.effect(effect) {
                // What waits for its place has not been sent yet.
                if sent.send_no == 0 {
                    continue;
                }
                let attempts = draft.attempts(index, effect);
                draft.send_again(index, effect, ask, attempts);
            } else {
                let step = step.reference();
                draft.decide(Decision::Freed { step, effect });
            }
        }
    }
    // There may be only signals, or places, to wait for.
    if draft.decided() == 0 { Verdict::Ignored(Ignored::Underway) } else { Verdict::Applied }
}

/// What is open in this direction: in flight, or stuck.
fn asked(step: &StepState, direction: Direction) -> Option<Ask> {
    step.flight(direction).map(|flight| flight.ask).or_else(|| step.stuck(direction).map(|stuck| stuck.ask))
}

fn cancel(draft: &mut Draft<'_>, actor: &str, reason: &str) -> Verdict {
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
