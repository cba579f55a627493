//! Promise 1: wherever a run has come to, once nothing goes wrong any more, the saga settles.
//!
//! From a state, the fair run takes every reply, carries out every command, fires every timer, and asks an
//! operator to try again where the saga is parked. It goes beyond the bounds of the scene where it must.

use std::{collections::HashMap, sync::RwLock};

use amends_engine::Status;

use crate::mail::Message;
use crate::orchestrator::{Clock, Decided, Stimulus, Wish};
use crate::properties;
use crate::scene::Grain;
use crate::service::{Event, How};
use crate::state::State;
use crate::world::World;

/// No saga here needs more acts to settle.
const ACTS_MAX: usize = 200;

/// The states that are known to settle, or not to.
#[derive(Debug, Default)]
pub(crate) struct Fair(RwLock<HashMap<Place, bool>>);

type Place = (u32, u32, Vec<u32>);

/// Whether the saga settles from here, with balanced books.
pub(crate) fn settles(world: &World, state: &State) -> bool {
    if world.scene.grain == Grain::Fine {
        return true;
    }
    let mut state = state.clone();
    let mut way: Vec<Place> = Vec::new();
    let settles = loop {
        let place = (state.row, state.service, state.net.clone());
        if let Some(known) = world.fair.0.read().unwrap().get(&place) {
            break *known;
        }
        way.push(place);
        match next(world, &state) {
            Some(after) if way.len() < ACTS_MAX => state = after,
            Some(_) => break false,
            None => break properties::is_settled_well(world, &state),
        }
    };
    world.fair.0.write().unwrap().extend(way.into_iter().map(|place| (place, settles)));
    settles
}

/// The next act of a fair run; `None` when nothing is left to be done.
fn next(world: &World, state: &State) -> Option<State> {
    let changes =
        |decided: &Decided| decided.row != state.row || decided.sends.iter().any(|id| !state.has(*id));
    let decided = |stimulus| world.orchestrators.decide(state.row, stimulus, &world.mail).filter(changes);
    let replies = state.net.iter().filter(|id| matches!(&*world.mail.get(**id), Message::Reply(_)));
    if let Some(decided) = replies.map(|id| Stimulus::Reply(*id)).find_map(decided) {
        return Some(after(state, &decided));
    }
    let commands = state.net.iter().filter_map(|id| match &*world.mail.get(*id) {
        Message::Command(command) if world.calls(command) => Some(Event::Command(*id, How::Calls)),
        Message::Command(_) => Some(Event::Command(*id, How::Well)),
        Message::Reply(_) => None,
    });
    let own = world.services.own_events(state.service, &Default::default());
    for event in commands.chain(own) {
        let happened = world.services.happen(state.service, event, &world.mail);
        let reply = happened.reply.filter(|reply| !state.has(*reply));
        if happened.service != state.service || reply.is_some() {
            let mut state = State { service: happened.service, ..state.clone() };
            reply.into_iter().for_each(|reply| state.send(reply));
            return Some(state);
        }
    }
    let row = world.row(state);
    let clocks =
        row.clocks.iter().filter(|clock| !matches!(clock, Clock::Deadline | Clock::All | Clock::Pending(..)));
    let timer = clocks.map(|clock| Stimulus::Due(*clock)).find_map(decided);
    let retry = || decided(Stimulus::Wish(Wish::RetryNow)).filter(|_| row.saga.status() == Status::Parked);
    timer.or_else(retry).map(|decided| after(state, &decided))
}

fn after(state: &State, decided: &Decided) -> State {
    let mut state = State { row: decided.row, ..state.clone() };
    decided.sends.iter().for_each(|id| state.send(*id));
    state
}
