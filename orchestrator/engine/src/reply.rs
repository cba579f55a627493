//! The input "a participant answered".
//!
//! Invariant: a final outcome counts whenever it comes; anything else only for the sending it answers, and
//! each sending burns at most one attempt.

mod action;
mod undo;

use amends_contract::{Direction, Outcome};

use crate::attempts::{Ended, burn};
use crate::draft::{Draft, address};
use crate::{Alarm, Decision, Ignored, Phase, ReplyInput, Stuck, StuckWhy, Wait, epoch};

/// Takes a reply.
pub(crate) fn reply(draft: &mut Draft<'_>, reply: &ReplyInput) -> Result<(), Ignored> {
    let direction = reply.effect.direction;
    let index = route(draft, reply)?;
    let Some(effect) = draft.step(index).effect(direction) else { return Err(Ignored::NotSent) };
    if reply.effect.epoch > effect.epoch || effect.send_no == 0 {
        return Err(Ignored::NotSent);
    }
    if reply.effect.epoch < effect.epoch {
        return closed(draft, index, reply);
    }
    let current = reply.send_no == effect.send_no;
    if epoch::close(draft, index, reply) {
        return Ok(());
    }
    match meaning(reply) {
        Meaning::Final => match direction {
            Direction::Forward => action::settle(draft, index, &reply.outcome),
            Direction::Backward => undo::settle(draft, index, &reply.outcome),
        },
        // What may have happened is worth knowing for ever, the rest is not.
        _ if matches!(draft.saga.phase, Phase::Done(_)) => Err(Ignored::Stale),
        Meaning::Amiss(why, detail) => stick(draft, index, direction, why, detail),
        _ if !current => Err(Ignored::Stale),
        Meaning::Denied(why) => stick(draft, index, direction, why, String::new()),
        Meaning::Pending => pending(draft, index, direction),
        Meaning::Failed { code, retry_after_ms } => {
            failed(draft, index, direction, &Ended::Failed { code, retry_after_ms })
        }
    }
}

/// An older epoch was closed before the next one was opened: nothing of it can have happened since.
fn closed(draft: &mut Draft<'_>, index: usize, reply: &ReplyInput) -> Result<(), Ignored> {
    match &reply.outcome {
        Outcome::Succeeded { .. } => alarm(draft, index, Alarm::SucceededAfterClosed),
        Outcome::Undone { .. } => alarm(draft, index, Alarm::UndoneAfterClosed),
        _ => Err(Ignored::Stale),
    }
}

/// Once; later ones are duplicates.
fn alarm(draft: &mut Draft<'_>, index: usize, alarm: Alarm) -> Result<(), Ignored> {
    let step = draft.step(index);
    if step.alarm.is_some() {
        return Err(Ignored::Duplicate);
    }
    let step = step.reference();
    draft.decide(Decision::Alarmed { step, alarm });
    Ok(())
}

/// The step it is about.
fn route(draft: &Draft<'_>, reply: &ReplyInput) -> Result<usize, Ignored> {
    let effect = &reply.effect;
    if effect.saga != draft.saga.id {
        return Err(Ignored::Foreign);
    }
    let index = draft.saga.position(&effect.step).ok_or(Ignored::Foreign)?;
    match address(&draft.saga, draft.definition, index, effect.direction) {
        Some(address) if address.participant == reply.participant => Ok(index),
        _ => Err(Ignored::Foreign),
    }
}

/// What a reply says to this direction.
enum Meaning<'a> {
    /// The effect is settled.
    Final,
    /// The effect is settled in a way in which it cannot be: the answer to any later sending will be the same.
    Amiss(StuckWhy, String),
    /// The participant did not take the command.
    Denied(StuckWhy),
    /// It is still finding out.
    Pending,
    /// It did not work.
    Failed { code: &'a str, retry_after_ms: Option<u64> },
}

fn meaning(reply: &ReplyInput) -> Meaning<'_> {
    if let Some(violation) = &reply.violation {
        return Meaning::Amiss(StuckWhy::Reply, violation.clone());
    }
    match (reply.effect.direction, &reply.outcome) {
        (_, Outcome::Failed { code, retry_after_ms }) => {
            Meaning::Failed { code, retry_after_ms: *retry_after_ms }
        }
        (_, Outcome::Pending) => Meaning::Pending,
        (_, Outcome::Conflict) => Meaning::Denied(StuckWhy::Conflict),
        (_, Outcome::Expired) => Meaning::Denied(StuckWhy::Expired),
        (Direction::Forward, Outcome::Succeeded { .. } | Outcome::Rejected { .. } | Outcome::Cancelled)
        | (Direction::Backward, Outcome::Undone { .. } | Outcome::NothingToUndo) => Meaning::Final,
        (Direction::Backward, Outcome::Rejected { code, message }) => {
            Meaning::Amiss(StuckWhy::Rejected, format!("{code}: {message}"))
        }
        // Only a fence closes an undo, and nobody has sent one: `epoch` would have taken its answer.
        (Direction::Backward, Outcome::Cancelled) => Meaning::Amiss(StuckWhy::Cancelled, String::new()),
        (Direction::Backward, Outcome::Succeeded { .. })
        | (Direction::Forward, Outcome::Undone { .. } | Outcome::NothingToUndo) => {
            let detail = format!("{:?} is no answer to this command", reply.outcome.name());
            Meaning::Amiss(StuckWhy::Reply, detail)
        }
    }
}

/// Stops at an effect that is still open; one that is settled stays so.
fn stick(
    draft: &mut Draft<'_>,
    index: usize,
    effect: Direction,
    why: StuckWhy,
    detail: String,
) -> Result<(), Ignored> {
    let step = draft.step(index);
    let ask = match (step.flight(effect), step.stuck(effect)) {
        (Some(flight), _) => flight.ask,
        (None, Some(stuck)) if stuck.why != why => stuck.ask,
        (None, Some(_)) => return Err(Ignored::Duplicate),
        (None, None) => return Err(Ignored::Stale),
    };
    let step = step.reference();
    draft.decide(Decision::Stuck { step, effect, at: Stuck { why, detail, ask } });
    Ok(())
}

fn pending(draft: &mut Draft<'_>, index: usize, effect: Direction) -> Result<(), Ignored> {
    let step = draft.step(index);
    let flight = step.flight(effect).ok_or(Ignored::Stale)?;
    match flight.wait {
        Wait::Sent => {}
        Wait::Pending => return Err(Ignored::Duplicate),
        // This sending has ended; the next one will tell.
        Wait::BackingOff => return Err(Ignored::Stale),
    }
    let since_now = || Some(draft.clock().plus_ms(draft.model(index).pending_max_ms?));
    let pending_until = flight.pending_until.or_else(since_now);
    let due_at = flight.is_held().then(|| {
        let left = step.effect(effect).map_or(0, |effect| effect.left);
        draft.clock().plus_ms(draft.resend_after_ms(index, effect, left))
    });
    let step = step.reference();
    draft.decide(Decision::Pending { step, effect, pending_until, due_at });
    Ok(())
}

fn failed(
    draft: &mut Draft<'_>,
    index: usize,
    direction: Direction,
    ended: &Ended<'_>,
) -> Result<(), Ignored> {
    match draft.step(index).flight(direction).ok_or(Ignored::Stale)?.wait {
        Wait::Sent | Wait::Pending => {}
        Wait::BackingOff => return Err(Ignored::Duplicate),
    }
    burn(draft, index, direction, ended);
    Ok(())
}
