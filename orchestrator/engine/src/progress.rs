//! Going on: whatever has become ready is decided, until nothing more is.
//!
//! Invariant: a saga that is not done has afterwards something in flight or awaited, or is stuck, paused or
//! not begun. Readiness is written over `after`: a chain is only the simplest graph.

use amends_contract::{Direction, Json, Token};
use amends_definition::{Await, Call, ForEach, Step, StepKind};
use amends_planted::{Bug, planted};

use crate::data::{self, Trouble};
use crate::draft::Draft;
use crate::{ActionState, Ask, Decision, Ending, Failure, Phase, Stuck, StuckWhy, UndoState, turn};

/// Decides all that is ready.
pub(crate) fn go_on(draft: &mut Draft<'_>) {
    loop {
        let before = draft.decided();
        if draft.saga.paused.is_some() {
            return;
        }
        match draft.saga.phase {
            Phase::Forward if draft.saga.start_at.is_some() => {}
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
        Next::AllFinished => complete(draft),
        Next::Nothing => {}
    }
}

fn complete(draft: &mut Draft<'_>) {
    let (output, output_error) = match data::output(draft) {
        Ok(output) => (output, None),
        Err(why) => (Json::NULL, Some(why)),
    };
    draft.decide(Decision::Done { ending: Ending::Completed, output, output_error });
}

fn backward(draft: &mut Draft<'_>) {
    let mut blocked = blocked(draft);
    let mut forward = draft.forward();
    if planted(Bug::ForwardCompensation) {
        blocked.fill(false);
        forward.reverse();
    }
    let ready =
        |index: &usize| draft.step(*index).undo == UndoState::Waiting && !blocked[draft.origin(*index)];
    if let Some(index) = forward.iter().copied().rev().find(ready) {
        return undo(draft, index);
    }
    if forward.iter().any(|index| !is_undone(draft, *index)) {
        return;
    }
    let definition = draft.definition;
    match next_ready(draft, &definition.on_compensated, definition.steps.len()) {
        Next::Ready(index) => act(draft, index),
        Next::AllFinished => {
            draft.decide(Decision::Done {
                ending: Ending::Compensated,
                output: Json::NULL,
                output_error: None,
            });
        }
        Next::Nothing => {}
    }
}

enum Next {
    Ready(usize),
    AllFinished,
    Nothing,
}

/// The first step of a list that waits for nothing any more; `offset` is the list's place in the saga.
fn next_ready(draft: &Draft<'_>, steps: &[Step], offset: usize) -> Next {
    let finished = |index: usize| is_finished(draft, offset + index);
    let waiting = |index: usize| draft.step(offset + index).action == ActionState::Waiting;
    let ready = |(index, step): &(usize, &Step)| waiting(*index) && step.after.iter().all(|i| finished(*i));
    match steps.iter().enumerate().find(ready) {
        Some((index, _)) => Next::Ready(offset + index),
        None if (0..steps.len()).all(finished) => Next::AllFinished,
        None => Next::Nothing,
    }
}

/// Whether the steps behind it may go on.
fn is_finished(draft: &Draft<'_>, index: usize) -> bool {
    let step = draft.step(index);
    match &step.action {
        ActionState::Succeeded { .. } | ActionState::Skipped => true,
        ActionState::Spread => {
            let succeeded = |action: &ActionState| matches!(action, ActionState::Succeeded { .. });
            draft.saga.instances(&step.name).all(|instance| succeeded(&instance.action))
        }
        _ => false,
    }
}

/// Which steps of the definition have, somewhere behind them, one that may have run and is not undone yet.
fn blocked(draft: &Draft<'_>) -> Vec<bool> {
    let steps = &draft.definition.steps;
    let mut blocked = vec![false; steps.len()];
    let open = draft.forward().into_iter().filter(|index| !is_undone(draft, *index));
    let mut open: Vec<usize> = open.map(|index| draft.origin(index)).collect();
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
    let model = draft.model(index);
    let decided = match data::condition(draft, index) {
        Ok(true) => match (&model.for_each, &model.call) {
            (Some(for_each), _) => spread(draft, index, for_each),
            (None, Call::Await(wait)) => {
                await_signal(draft, index, wait);
                Ok(())
            }
            (None, Call::Command(_) | Call::Saga(_)) => data::of_action(draft, index, None)
                .map(|data| decide(draft, index, Direction::Forward, Some(data))),
        },
        Ok(false) => {
            let step = draft.reference(index);
            draft.decide(Decision::Skipped { step });
            Ok(())
        }
        Err(trouble) => Err(trouble),
    };
    if let Err(trouble) = decided {
        match draft.kind(index) {
            StepKind::Compensatable | StepKind::Pivot => reject(draft, index, trouble),
            StepKind::Retriable => stick(draft, index, Direction::Forward, trouble),
        }
    }
}

/// One instance for each element. None is decided unless all can be.
fn spread(draft: &mut Draft<'_>, index: usize, for_each: &ForEach) -> Result<(), Trouble> {
    let elements = data::elements(draft, for_each)?;
    let data = elements
        .iter()
        .map(|element| data::of_action(draft, index, Some(element)))
        .collect::<Result<Vec<Json>, Trouble>>()?;
    let first = draft.saga.steps.len();
    let step = draft.reference(index);
    draft.decide(Decision::Spread { step, elements });
    for (instance, data) in (first..).zip(data) {
        decide(draft, instance, Direction::Forward, Some(data));
    }
    Ok(())
}

/// Waits, unless the signal is there already.
fn await_signal(draft: &mut Draft<'_>, index: usize, wait: &Await) {
    let step = draft.reference(index);
    if let Some(output) = draft.saga.signals.get(&wait.signal).cloned() {
        return draft.decide(Decision::Succeeded { step, output, by_hand: false });
    }
    let until = wait.timeout_ms.map(|ms| draft.now.plus_ms(ms));
    draft.decide(Decision::Awaited { step, signal: wait.signal.clone(), until });
}

/// Decides a step's undo.
fn undo(draft: &mut Draft<'_>, index: usize) {
    if matches!(draft.step(index).action, ActionState::Succeeded { by_hand: true, .. }) {
        let detail = "the action was settled by hand, so no participant can undo it".to_owned();
        let (step, effect) = (draft.reference(index), Direction::Backward);
        let at = Stuck { why: StuckWhy::ByHand, detail, ask: Ask::Command };
        return draft.decide(Decision::Stuck { step, effect, at });
    }
    match data::of_undo(draft, index) {
        Ok(data) => decide(draft, index, Direction::Backward, data),
        Err(trouble) => stick(draft, index, Direction::Backward, trouble),
    }
}

fn decide(draft: &mut Draft<'_>, index: usize, effect: Direction, data: Option<Json>) {
    let queued = draft.queues(index, effect);
    draft.open_effect(index, effect, data, 1, queued);
}

/// What cannot even be asked for counts as rejected: nothing was sent.
fn reject(draft: &mut Draft<'_>, index: usize, trouble: Trouble) {
    let Trouble { code, why: _, detail } = trouble;
    let (code, name) = (code.to_owned(), Token::clone(&draft.step(index).name));
    let failure = Failure { step: Some(name), code: code.clone(), detail: detail.clone() };
    let step = draft.reference(index);
    draft.decide(Decision::Rejected { step, code, message: detail });
    turn::turn(draft, failure);
}

fn stick(draft: &mut Draft<'_>, index: usize, effect: Direction, trouble: Trouble) {
    let step = draft.reference(index);
    let at = Stuck { why: trouble.why, detail: trouble.detail, ask: Ask::Command };
    draft.decide(Decision::Stuck { step, effect, at });
}
