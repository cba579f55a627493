//! One input, one transition: the engine's front door.

use amends_contract::Timestamp;
use amends_definition::Definition;

use crate::draft::{BOTH, Draft};
use crate::release::HeldBefore;
use crate::timer::World;
use crate::{
    Error, Ignored, Input, Saga, StepState, Transition, Verdict, operator, progress, release, reply, signal,
    timer,
};

/// Takes one input. `now` is the database's clock; `definition` the one that the saga began with.
///
/// # Errors
/// [`Error::Refused`] for an operator's action that is not legal now; the others say that saga, input and
/// definition do not belong together. The saga is then as it was.
pub fn handle(
    saga: Saga,
    input: Input,
    now: Timestamp,
    definition: &Definition,
) -> Result<Transition, Error> {
    check(&saga, definition)?;
    let before = saga.status();
    let mut draft = Draft::new(saga, definition, now, Some(before));
    let held = HeldBefore::of(&draft);
    let verdict = match &input {
        Input::Start { .. } => return Err(Error::AlreadyStarted),
        Input::Reply(reply) => verdict(reply::reply(&mut draft, reply)),
        Input::Timer { blind, down, slots } => {
            verdict(timer::timer(&mut draft, &World { blind: *blind, down, slots }))
        }
        Input::Release { down } => verdict(release::release(&mut draft, down)),
        Input::Signal { name, data, actor: _ } => signal::signal(&mut draft, name, data)?,
        Input::Operator { action, actor, reason } => operator::operate(&mut draft, action, actor, reason)?,
    };
    Ok(match verdict {
        Verdict::Applied => {
            progress::go_on(&mut draft);
            held.give_back(&mut draft);
            debug_assert!(draft.decided() > 0, "an input that is applied changes something");
            draft.finish(input)
        }
        Verdict::Ignored(why) => draft.ignore(input, why),
    })
}

const fn verdict(result: Result<(), Ignored>) -> Verdict {
    match result {
        Ok(()) => Verdict::Applied,
        Err(why) => Verdict::Ignored(why),
    }
}

/// A stored saga comes from outside: what the rest of the engine takes for granted is looked at here.
fn check(saga: &Saga, definition: &Definition) -> Result<(), Error> {
    if saga.digest != definition.digest {
        return Err(Error::WrongDefinition { expected: saga.digest, found: definition.digest });
    }
    let names = definition.steps.iter().chain(&definition.on_compensated).map(|step| &step.name);
    let fixed = definition.steps.len() + definition.on_compensated.len();
    let (steps, instances) = saga.steps.split_at_checked(fixed).unwrap_or((&saga.steps, &[]));
    if !steps.iter().filter(|step| step.index.is_none()).map(|step| &step.name).eq(names) {
        return Err(Error::Damaged("its steps are others".to_owned()));
    }
    let is_instance = |instance: &StepState| {
        instance.index.is_some() && steps.iter().any(|step| step.name == instance.name)
    };
    if !instances.iter().all(is_instance) {
        return Err(Error::Damaged("behind its steps are others than instances of them".to_owned()));
    }
    for step in &saga.steps {
        for direction in BOTH {
            if step.flight(direction).is_some() && step.effect(direction).is_none() {
                return Err(Error::Damaged(format!("step {} is in flight without an effect", step.name)));
            }
        }
        if step.undo_effect.is_some() && step.action_effect.is_none() {
            return Err(Error::Damaged(format!("step {} is undone without an action", step.name)));
        }
    }
    Ok(())
}
