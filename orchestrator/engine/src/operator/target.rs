//! The effect that an operator's word is about: which ones it can be about at all.
//!
//! Invariant: an effect that is settled, or that somebody asks to be fenced for another reason, is out of an
//! operator's reach.

use amends_contract::{Direction, StepRef};
use amends_definition::{Definition, StepKind};

use crate::draft::{BOTH, model, origin};
use crate::{ActionState, Ask, FenceWhy, Phase, Saga, StepState, StuckWhy};

/// What an operator has to say of an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// That it be tried with other data.
    Edit,
    /// How it ended.
    Settle,
}

/// How the effect stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stands {
    /// It waits for a signal.
    Awaiting,
    /// Nothing was ever sent of it.
    Unsent,
    /// It was asked for.
    Sent,
}

/// All effects that the word can be about now.
pub(super) fn all(saga: &Saga, definition: &Definition, word: Word) -> Vec<(StepRef, Direction)> {
    let effects = saga.steps.iter().flat_map(|step| BOTH.map(|effect| (step.reference(), effect)));
    effects.filter(|(step, effect)| find(saga, definition, step, *effect, word).is_ok()).collect()
}

/// The step's place in the saga and how its effect stands, or why the word cannot be about it.
pub(super) fn find(
    saga: &Saga,
    definition: &Definition,
    step: &StepRef,
    effect: Direction,
    word: Word,
) -> Result<(usize, Stands), String> {
    let index = saga.position(step).ok_or_else(|| format!("the saga has no step {step}"))?;
    let (state, model) = (&saga.steps[index], model(saga, definition, index));
    if model.for_each.is_some() && state.index.is_none() {
        return Err(format!("{step} runs once for each element: name one of its instances, as {step}.0"));
    }
    if matches!(state.action, ActionState::Awaiting(_)) && effect == Direction::Forward {
        return match word {
            Word::Settle => Ok((index, Stands::Awaiting)),
            Word::Edit => Err(format!("{step} waits for a signal: send that, or settle the step")),
        };
    }
    let ask = match (state.flight(effect), state.stuck(effect)) {
        (Some(flight), _) => in_flight(flight.ask, state)?,
        (None, Some(stuck)) => stuck.ask,
        (None, None) => return Err(closed(state, effect)),
    };
    let sent = state.effect(effect).is_some_and(|effect| effect.send_no > 0);
    if word == Word::Edit {
        editable(saga, definition, index, effect, ask)?;
    }
    Ok((index, if sent { Stands::Sent } else { Stands::Unsent }))
}

/// Who fences an effect for another reason waits for the answer.
fn in_flight(ask: Ask, step: &StepState) -> Result<Ask, String> {
    match ask {
        Ask::Command | Ask::Fence(FenceWhy::Epoch | FenceWhy::Settle) => Ok(ask),
        Ask::Fence(FenceWhy::Pivot) => {
            Err(format!("{} was asked whether it happened, and the answer decides", step.reference()))
        }
        Ask::Fence(FenceWhy::Turn | FenceWhy::Abandon) => {
            Err(format!("{} is being closed, for the saga goes no further", step.reference()))
        }
    }
}

/// Whether it may be tried again: not what nobody can be asked for, and nothing new on the way back.
fn editable(
    saga: &Saga,
    definition: &Definition,
    index: usize,
    effect: Direction,
    ask: Ask,
) -> Result<(), String> {
    let state = &saga.steps[index];
    let (step, model) = (state.reference(), model(saga, definition, index));
    let of_forward = origin(saga, index) < definition.steps.len();
    let by_hand = state.stuck(effect).is_some_and(|stuck| stuck.why == StuckWhy::ByHand);
    if model.call.as_await().is_some() {
        Err(format!("{step} waits for a signal, so it has no data"))
    } else if by_hand {
        Err(format!("{step} was settled by hand: its undo has to be settled by hand, too"))
    } else if saga.phase == Phase::Backward && effect == Direction::Forward && of_forward {
        Err(format!("the saga has turned back, so {step} is not tried again"))
    } else if saga.doubt.is_some() && model.kind == StepKind::Pivot && effect == Direction::Forward {
        Err(format!("the saga is to turn back, so {step} is not tried again"))
    } else if matches!(ask, Ask::Fence(FenceWhy::Pivot | FenceWhy::Turn | FenceWhy::Abandon)) {
        Err(format!("{step} is being closed, so it is not tried again"))
    } else {
        Ok(())
    }
}

fn closed(step: &StepState, effect: Direction) -> String {
    let (name, state) = match effect {
        Direction::Forward => ("action", step.action.name()),
        Direction::Backward => ("undo", step.undo.name()),
    };
    format!("the {name} of {} is neither in flight nor stuck, it is {state}", step.reference())
}
