//! The input "what held it is over", and what being held ends with.
//!
//! A step that is held looks after itself only rarely, so that a long outage of many sagas stays a short
//! journal; whoever sees the outage end lets them go, a bounded number at a time.
//!
//! Invariant: letting go burns nothing, and a deadline stood still for as long as anything was held, no longer.

use std::collections::BTreeSet;

use amends_contract::{Direction, Timestamp, Token};

use crate::draft::{BOTH, Draft};
use crate::{Decision, Ignored, Phase};

/// Lets go all that is held but by participants that are `down`.
pub(crate) fn release(draft: &mut Draft<'_>, down: &BTreeSet<Token>) -> Result<(), Ignored> {
    if matches!(draft.saga.phase, Phase::Done(_)) {
        return Err(Ignored::NotDue);
    }
    if draft.saga.paused.is_some() {
        return Err(Ignored::Paused);
    }
    for index in 0..draft.saga.steps.len() {
        for direction in BOTH {
            let Some((flight, effect)) = draft.flight(index, direction) else { continue };
            let is_down = draft.participant(index, direction).is_some_and(|name| down.contains(name));
            if flight.is_held() && !is_down {
                let (ask, left) = (flight.ask, effect.left);
                draft.send_again(index, direction, ask, left);
            }
        }
    }
    if draft.decided() == 0 { Err(Ignored::NotDue) } else { Ok(()) }
}

/// What was held before an input: until when at most, by the saga's own clock then.
pub(crate) struct HeldBefore {
    clock: Timestamp,
    until: Option<Timestamp>,
}

impl HeldBefore {
    pub(crate) fn of(draft: &Draft<'_>) -> Self {
        Self { clock: draft.clock(), until: held(draft).max() }
    }

    /// Being held moved the deadline on for the whole time in advance; what was not needed is taken back once
    /// nothing is held any more.
    pub(crate) fn give_back(&self, draft: &mut Draft<'_>) {
        let Some(unspent_ms) = self.until.map(|until| until.ms_since(self.clock)) else { return };
        if unspent_ms == 0 || held(draft).next().is_some() {
            return;
        }
        if let Some(deadline_at) = draft.saga.open_deadline() {
            draft.decide(Decision::DeadlineMoved { deadline_at: deadline_at.minus_ms(unspent_ms) });
        }
    }
}

fn held<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = Timestamp> + 'd {
    let places = (0..draft.saga.steps.len()).flat_map(|index| BOTH.map(|direction| (index, direction)));
    let flights = places.filter_map(|(index, direction): (usize, Direction)| draft.flight(index, direction));
    flights.filter(|(flight, _)| flight.is_held()).map(|(flight, _)| flight.due_at)
}
