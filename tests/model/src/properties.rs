//! What must hold in every state, and what must be seen in some.

use amends_contract::Outcome;
use amends_definition::{StepKind, Undo};
use amends_engine::{ActionState, Ending, Phase};
use stateright::Property;

use crate::breach::Breach;
use crate::fair;
use crate::mail::Message;
use crate::scene::{Grain, Scene};
use crate::state::{Process, State};
use crate::world::World;

/// All of them.
pub(crate) fn all(scene: &Scene) -> Vec<Property<World>> {
    let mut properties = always();
    properties.extend(sometimes(scene));
    properties
}

fn always() -> Vec<Property<World>> {
    let never = Property::<World>::always;
    vec![
        never("an effect happens at most once", |world, state| {
            world.service(state).books.iter().all(|book| book.done <= 1 && book.undone <= 1)
        }),
        never("nothing is undone that was not done", |world, state| {
            world.service(state).books.iter().all(|book| book.undone <= book.done)
        }),
        never("a closed action has no effect", |world, state| {
            world.service(state).books.iter().all(|book| !(book.tombstone && book.done > 0))
        }),
        never("completed: all is done and nothing undone", completed_is_whole),
        never("compensated: the books balance", compensated_is_balanced),
        never("backward: the pivot never happens", pivot_is_impossible),
        never("the direction turns once, and an end is an end", |_, state| {
            !state.breaches.has(Breach::Direction)
        }),
        never("the journal rebuilds the row", |_, state| !state.breaches.has(Breach::Journal)),
        never("a saga has a timer, an end or a reason", |_, state| !state.breaches.has(Breach::Lost)),
        never("honest replies never contradict the saga", |_, state| {
            !state.breaches.has(Breach::Contradiction)
        }),
        never("an input that is applied changes the saga", |_, state| !state.breaches.has(Breach::Echo)),
        never("each sending has a number of its own", |_, state| !state.breaches.has(Breach::SendNo)),
        never("one effect has one final answer", |_, state| !state.breaches.has(Breach::TwoAnswers)),
        never("steps happen in their turn", |_, state| !state.breaches.has(Breach::TooEarly)),
        never("later steps are undone first", |_, state| !state.breaches.has(Breach::OutOfOrder)),
        never("once nothing goes wrong any more, it settles", fair::settles),
    ]
}

/// Against vacuity, as far as the scene can show it.
fn sometimes(scene: &Scene) -> Vec<Property<World>> {
    let mut wanted = vec![
        Property::<World>::sometimes("completed", |world, state| ends(world, state, Ending::Completed)),
        Property::<World>::sometimes("compensated", |world, state| ends(world, state, Ending::Compensated)),
        Property::<World>::sometimes("an action comes late and finds its tombstone", |world, state| {
            state.net.iter().any(|id| match &*world.message(*id) {
                Message::Reply(reply) => reply.outcome == Outcome::Cancelled,
                Message::Command(_) => false,
            })
        }),
    ];
    if scene.definition.steps.iter().any(|step| step.undo_address().is_some()) {
        wanted.push(Property::sometimes("a step is undone", |world: &World, state: &State| {
            world.service(state).books.iter().any(|book| book.undone > 0)
        }));
    }
    if scene.answers.calls.is_some() {
        wanted.push(Property::sometimes(
            "the world has done what the participant has not heard of",
            |world: &World, state: &State| {
                let service = world.service(state);
                service.participant.open_calls().any(|effect| service.participant.happened(effect) > 0)
            },
        ));
    }
    if scene.grain == Grain::Fine {
        wanted.push(Property::sometimes("an orchestrator comes too late", |_: &World, state: &State| {
            state.processes.iter().any(|process| matches!(process, Process::Deciding { stale: true, .. }))
        }));
    }
    wanted
}

fn ends(world: &World, state: &State, ending: Ending) -> bool {
    world.row(state).saga.phase == Phase::Done(ending)
}

/// At its end, with the books as they should be.
pub(crate) fn is_settled_well(world: &World, state: &State) -> bool {
    world.row(state).saga.status().is_terminal()
        && completed_is_whole(world, state)
        && compensated_is_balanced(world, state)
}

fn completed_is_whole(world: &World, state: &State) -> bool {
    if !ends(world, state, Ending::Completed) {
        return true;
    }
    let (service, forward) = (world.service(state), world.scene.definition.steps.len());
    let books = &service.books;
    let whole = books[..forward].iter().all(|book| (book.done, book.undone) == (1, 0));
    whole && books[forward..].iter().all(|book| book.done == 0)
}

/// Whatever has no undo is kept, and the row says so.
fn compensated_is_balanced(world: &World, state: &State) -> bool {
    let row = world.row(state);
    if row.saga.phase != Phase::Done(Ending::Compensated) {
        return true;
    }
    let (service, definition) = (world.service(state), &world.scene.definition);
    let books = &service.books;
    let forward = definition.steps.len();
    let mut steps = definition.steps.iter().zip(books).zip(&row.saga.steps);
    let balanced = steps.all(|((step, book), known)| match step.undo {
        Some(Undo::None { .. }) => (book.done > 0) == matches!(known.action, ActionState::Succeeded { .. }),
        _ => book.is_balanced(),
    });
    balanced && books[forward..].iter().all(|book| book.done == 1)
}

fn pivot_is_impossible(world: &World, state: &State) -> bool {
    let (row, service) = (world.row(state), world.service(state));
    let backward = matches!(row.saga.phase, Phase::Backward | Phase::Done(Ending::Compensated));
    let mut steps = world.scene.definition.steps.iter().zip(&service.books);
    !backward || steps.all(|(step, book)| step.kind != StepKind::Pivot || book.done == 0)
}
