//! The input "its time has come". Everything that is due is done in one transition.
//!
//! Invariant: afterwards nothing is due at `now`; and silence burns an attempt only when it is the
//! participant's: not while the broker refuses us, our replies lie unread, or the participant is down.

use std::collections::BTreeSet;

use amends_contract::{Direction, Json, StepRef, Timestamp, Token};
use amends_definition::OnTimeout;

use crate::attempts::{Ended, burn};
use crate::draft::{BOTH, Draft};
use crate::{ActionState, Ask, Decision, Failure, HeldBy, Ignored, Phase, Stuck, StuckWhy, Wait, code, turn};

/// How many times its `resend_after` something held waits before it looks again by itself: ten minutes of
/// the usual ten seconds. Each look is a line in the journal, and the end of the outage is seen elsewhere.
const HELD_FOR: u64 = 60;

/// What the timer's input says about the world.
pub(crate) struct World<'a> {
    /// The broker refuses us, or our own replies lie unread.
    pub(crate) blind: bool,
    /// Participants that are not up.
    pub(crate) down: &'a BTreeSet<Token>,
    /// Steps of this saga that were given a place.
    pub(crate) slots: &'a BTreeSet<StepRef>,
}

/// Takes the timer's input.
pub(crate) fn timer(draft: &mut Draft<'_>, world: &World<'_>) -> Result<(), Ignored> {
    if matches!(draft.saga.phase, Phase::Done(_)) {
        return Err(Ignored::NotDue);
    }
    if draft.saga.paused.is_some() {
        return Err(Ignored::Paused);
    }
    if draft.saga.start_at.is_some_and(|at| at <= draft.now) {
        draft.decide(Decision::Begun);
    }
    let deadline_was = draft.saga.deadline_at;
    // The deadline first: if it turns the saga, the rest is not asked for any more.
    deadline(draft, world);
    let mut held_ms = 0;
    for index in 0..draft.saga.steps.len() {
        wait_is_over(draft, index);
        for direction in BOTH {
            held_ms = held_ms.max(due(draft, index, direction, world));
        }
    }
    // What is held stands still, and so does the deadline.
    if let Some(deadline_at) = draft.saga.open_deadline()
        && held_ms > 0
        && draft.saga.deadline_at == deadline_was
    {
        draft.decide(Decision::DeadlineMoved { deadline_at: deadline_at.plus_ms(held_ms) });
    }
    if draft.decided() == 0 { Err(Ignored::NotDue) } else { Ok(()) }
}

impl World<'_> {
    fn holds(&self, draft: &Draft<'_>, index: usize, direction: Direction) -> Option<HeldBy> {
        if self.blind {
            return Some(HeldBy::Broker);
        }
        let participant = draft.participant(index, direction)?;
        self.down.contains(participant).then_some(HeldBy::Participant)
    }
}

fn deadline(draft: &mut Draft<'_>, world: &World<'_>) {
    let Some(deadline_at) = draft.saga.open_deadline().filter(|at| *at <= draft.now) else { return };
    // A deadline does not pass while the saga waits for somebody who is down.
    let held = (0..draft.saga.steps.len())
        .filter(|index| {
            draft.flight(*index, Direction::Forward).is_some_and(|(_, effect)| effect.send_no > 0)
        })
        .find(|index| world.holds(draft, *index, Direction::Forward).is_some());
    if let Some(index) = held {
        let wait_ms = held_for_ms(draft, index, Direction::Forward, 1);
        draft.decide(Decision::DeadlineMoved { deadline_at: draft.now.plus_ms(wait_ms) });
    } else if turn::committed_by(&draft.saga, draft.definition).is_some() {
        draft.decide(Decision::Overdue);
    } else {
        let detail = format!("not past the point of no return by {deadline_at}");
        let failure = Failure { step: None, code: code::DEADLINE.to_owned(), detail };
        turn::turn_or_doubt(draft, failure);
    }
}

/// The signal did not come in time.
fn wait_is_over(draft: &mut Draft<'_>, index: usize) {
    let ActionState::Awaiting(awaiting) = &draft.step(index).action else { return };
    if awaiting.until.is_some_and(|until| until <= draft.now) {
        time_out(draft, index);
    }
}

/// Ends the wait for a signal as its timeout says.
pub(crate) fn time_out(draft: &mut Draft<'_>, index: usize) {
    let Some(wait) = draft.model(index).call.as_await() else { return };
    let step = draft.reference(index);
    match wait.on_timeout {
        OnTimeout::GoOn => {
            let output = Json::NULL;
            draft.decide(Decision::Succeeded { step, output, by_hand: false });
        }
        OnTimeout::Compensate => {
            let message = format!("the signal {} did not come in time", wait.signal);
            let (name, code) = (step.name.clone(), code::TIMEOUT.to_owned());
            let failure = Failure { step: Some(name), code: code.clone(), detail: message.clone() };
            draft.decide(Decision::Rejected { step, code, message });
            turn::turn_or_doubt(draft, failure);
        }
    }
}

/// Does what is due of one effect; gives the milliseconds for which it is held.
fn due(draft: &mut Draft<'_>, index: usize, direction: Direction, world: &World<'_>) -> u64 {
    let Some((flight, effect)) = draft.flight(index, direction) else { return 0 };
    let (ask, wait, held, left) = (flight.ask, flight.wait, flight.held, effect.left);
    if effect.send_no == 0 {
        if world.slots.contains(&draft.reference(index)) {
            draft.send_again(index, direction, Ask::Command, left);
        }
        return 0;
    }
    let is_due = |at: Timestamp| at <= draft.now;
    let is_overlong = flight.pending_until.is_some_and(is_due);
    if !is_due(flight.due_at) && !is_overlong {
        return 0;
    }
    if let Some(by) = world.holds(draft, index, direction) {
        return hold(draft, index, direction, by);
    }
    if is_overlong {
        let step = draft.reference(index);
        let detail = "the participant did not find out in time".to_owned();
        let at = Stuck { why: StuckWhy::PendingMax, detail, ask };
        draft.decide(Decision::Stuck { step, effect: direction, at });
        return 0;
    }
    match (held, wait) {
        (None, Wait::Sent) => burn(draft, index, direction, &Ended::Silence),
        // The sending burnt its attempt when it failed, or it burns none.
        (Some(_), _) | (None, Wait::Pending | Wait::BackingOff) => {
            draft.send_again(index, direction, ask, left);
        }
    }
    0
}

/// Waits to be let go, and looks again much later; its clocks are moved by as much.
fn hold(draft: &mut Draft<'_>, index: usize, effect: Direction, by: HeldBy) -> u64 {
    let Some((flight, sent)) = draft.flight(index, effect) else { return 0 };
    let wait_ms = held_for_ms(draft, index, effect, sent.left);
    // Never into the past, or it would be due again at once.
    let pending_until = flight.pending_until.map(|at| at.max(draft.now).plus_ms(wait_ms));
    let step = draft.reference(index);
    let due_at = draft.now.plus_ms(wait_ms);
    let away = draft.participant(index, effect).filter(|_| by == HeldBy::Participant).cloned();
    draft.decide(Decision::Held { step, effect, by, away, due_at, pending_until });
    wait_ms
}

fn held_for_ms(draft: &Draft<'_>, index: usize, effect: Direction, left: u32) -> u64 {
    draft.resend_after_ms(index, effect, left).saturating_mul(HELD_FOR)
}
