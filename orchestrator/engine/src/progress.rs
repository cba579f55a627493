//! Going on: whatever has become ready is decided, until nothing more is.
//!
//! Invariant: a saga that is not done has afterwards something in flight, or is stuck. Readiness is
//! written over `after`, not over neighbours in a list: a chain is only the simplest graph.

use amends_contract::Direction;
use amends_definition::{Step, StepKind};
use serde_json::Value;

use crate::data::{self, Trouble};
use crate::draft::Draft;
use crate::{ActionState, Ask, Decision, Ending, Failure, Phase, Stuck, UndoState, turn};

/// Decides all that is ready.
pub(crate) fn go_on(draft: &mut Draft<'_>) {
    loop {
        let before = draft.decided();
        match draft.saga.phase {
            Phase::Forward => forward(draft),
            Phase::Backward => backward(draft),
            Phase::Done(_) => {}
        }
        if draft.decided() == before {
            return;
        }
    }
}

fn forward(draft: &mut Draft<'_>) {
    let definition = draft.definition;
    match next_ready(draft, &definition.steps, 0) {
        Next::Ready(index) => act(draft, index),
        Next::AllSucceeded => draft.decide(Decision::Done { ending: Ending::Completed }),
        Next::Nothing => {}
    }
}

fn backward(draft: &mut Draft<'_>) {
    let blocked = blocked(draft);
    let ready = |index: &usize| draft.step(*index).undo == UndoState::Waiting && !blocked[*index];
    if let Some(index) = (0..draft.forward_count()).rev().find(ready) {
        return undo(draft, index);
    }
    if (0..draft.forward_count()).any(|index| !is_undone(draft, index)) {
        return;
    }
    let definition = draft.definition;
    match next_ready(draft, &definition.on_compensated, draft.forward_count()) {
        Next::Ready(index) => act(draft, index),
        Next::AllSucceeded => draft.decide(Decision::Done { ending: Ending::Compensated }),
        Next::Nothing => {}
    }
}

enum Next {
    Ready(usize),
    AllSucceeded,
    Nothing,
}

/// The first step of a list that waits for nothing any more; `offset` is the list's place in the saga.
fn next_ready(draft: &Draft<'_>, steps: &[Step], offset: usize) -> Next {
    let succeeded = |index: usize| matches!(draft.step(offset + index).action, ActionState::Succeeded { .. });
    let waiting = |index: usize| draft.step(offset + index).action == ActionState::Waiting;
    let ready = |(index, step): &(usize, &Step)| waiting(*index) && step.after.iter().all(|i| succeeded(*i));
    match steps.iter().enumerate().find(ready) {
        Some((index, _)) => Next::Ready(offset + index),
        None if (0..steps.len()).all(succeeded) => Next::AllSucceeded,
        None => Next::Nothing,
    }
}

/// Which steps have, somewhere behind them, one that may have run and is not undone yet.
fn blocked(draft: &Draft<'_>) -> Vec<bool> {
    let steps = &draft.definition.steps;
    let mut blocked = vec![false; steps.len()];
    let mut open: Vec<usize> = (0..steps.len()).filter(|index| !is_undone(draft, *index)).collect();
    while let Some(index) = open.pop() {
        for before in &steps[index].after {
            if !blocked[*before] {
                blocked[*before] = true;
                open.push(*before);
            }
        }
    }
    blocked
}

/// Whether a step has nothing to undo, any more or at all.
fn is_undone(draft: &Draft<'_>, index: usize) -> bool {
    let step = draft.step(index);
    match &step.undo {
        UndoState::Undone { .. } | UndoState::NothingToUndo => true,
        UndoState::Waiting | UndoState::InFlight(_) | UndoState::Stuck(_) => false,
        // Without an undo it is settled as soon as its action is: it may still be fenced.
        UndoState::None => !matches!(step.action, ActionState::InFlight(_) | ActionState::Stuck(_)),
    }
}

/// Decides a step's action, or what becomes of the saga if that cannot be.
fn act(draft: &mut Draft<'_>, index: usize) {
    match data::of_action(draft, index) {
        Ok(data) => decide(draft, index, Direction::Forward, Some(data)),
        Err(trouble) => match draft.kind(index) {
            StepKind::Compensatable | StepKind::Pivot => reject(draft, index, trouble),
            StepKind::Retriable => stick(draft, index, Direction::Forward, trouble),
        },
    }
}

/// Decides a step's undo.
fn undo(draft: &mut Draft<'_>, index: usize) {
    match data::of_undo(draft, index) {
        Ok(data) => decide(draft, index, Direction::Backward, data),
        Err(trouble) => stick(draft, index, Direction::Backward, trouble),
    }
}

fn decide(draft: &mut Draft<'_>, index: usize, effect: Direction, data: Option<Value>) {
    let step = draft.step(index).name.clone();
    // JSON's null is no data: stored, it could not be told from none.
    let data = data.filter(|data| !data.is_null());
    let attempts = draft.attempts(index, effect);
    let due_at = draft.now.plus_ms(draft.resend_after_ms(index, effect, attempts));
    draft.decide(Decision::Decided { step, effect, data, attempts, due_at });
}

/// What cannot even be asked for counts as rejected: nothing was sent.
fn reject(draft: &mut Draft<'_>, index: usize, trouble: Trouble) {
    let step = draft.step(index).name.clone();
    let Trouble { code, why: _, detail } = trouble;
    let failure = Failure { step: Some(step.clone()), code: code.to_owned(), detail: detail.clone() };
    draft.decide(Decision::Rejected { step, code: code.to_owned(), message: detail });
    turn::turn(draft, failure);
}

fn stick(draft: &mut Draft<'_>, index: usize, effect: Direction, trouble: Trouble) {
    let step = draft.step(index).name.clone();
    let at = Stuck { why: trouble.why, detail: trouble.detail, ask: Ask::Command };
    draft.decide(Decision::Stuck { step, effect, at });
}
