//! What must hold at every moment, checked after every input of every test.
//!
//! It sees transitions only from outside: states before and after, the journal, and what is sent.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Command, Direction, EffectId, Outcome};
use amends_definition::{Definition, Step, StepKind};
use amends_engine::{
    ActionState, Decision, Input, JournalEntry, Output, Phase, Saga, StepState, StuckWhy, Transition,
    UndoState, Verdict, open_commands, replay,
};

/// Remembers what was sent.
#[derive(Default)]
pub(crate) struct Witness {
    journal: Vec<JournalEntry>,
    sent: BTreeMap<EffectId, Vec<Command>>,
    turns: usize,
    /// What a participant says can never happen.
    closed: BTreeSet<EffectId>,
    /// What a participant does not remember, or did and could not tell: a fence has closed nothing.
    left: BTreeSet<EffectId>,
    /// What a participant has said anything about.
    answered: BTreeSet<EffectId>,
}

impl Witness {
    pub(crate) fn see(&mut self, before: Option<&Saga>, transition: &Transition, definition: &Definition) {
        let saga = &transition.saga;
        if let Verdict::Ignored(_) = transition.verdict {
            assert_eq!(Some(saga), before, "an ignored input changes nothing");
            assert!(transition.outputs.is_empty(), "and sends nothing");
            return;
        }
        self.journal_holds(transition);
        self.listen(&transition.entry);
        self.settling_holds(transition, before);
        if let Some(before) = before {
            self.phase_holds(before, saga, &transition.entry);
        }
        pause_holds(transition, definition);
        for output in &transition.outputs {
            if let Output::Send(command) = output {
                self.sending_holds(command, &transition.entry);
                order_holds(command, saga, definition);
            }
        }
        standing_holds(saga, &transition.entry, definition);
    }

    /// I1: the journal has no gaps, and gives the row, also after a journey through JSON.
    fn journal_holds(&mut self, transition: &Transition) {
        let (saga, entry) = (&transition.saga, &transition.entry);
        // JSON and replay take most of the tests' time: late in a journal they are looked at now and then.
        let thorough = entry.seq <= 6 || entry.seq.is_multiple_of(8);
        self.journal.push(if thorough { through_json(entry) } else { entry.clone() });
        assert_eq!(self.journal.last(), Some(entry), "the journal keeps the entry");
        assert_eq!(entry.seq, self.journal.len() as u64, "the journal is gapless");
        assert_eq!(saga.version, entry.seq, "the version is the journal's length");
        assert_eq!(saga.updated_at, entry.at);
        if thorough {
            assert_eq!(&replay(self.journal.iter().cloned()).unwrap(), saga, "replay gives the row");
            assert_eq!(&through_json(saga), saga, "the row keeps the saga");
        }
    }

    /// I2: nothing leaves a terminal phase, and the direction turns once.
    fn phase_holds(&mut self, before: &Saga, after: &Saga, entry: &JournalEntry) {
        let turned =
            entry.decisions.iter().filter(|decision| matches!(decision, Decision::Turned { .. })).count();
        self.turns += turned;
        assert!(self.turns <= 1, "the direction turns once");
        match before.phase {
            Phase::Forward => {}
            Phase::Backward => assert_ne!(after.phase, Phase::Forward),
            Phase::Done(_) => assert_eq!(after.phase, before.phase),
        }
        let turned = matches!(after.phase, Phase::Backward) || has_compensated(after);
        assert!(after.failure.is_some() == turned || is_abandoned(after));
    }

    /// Numbers of sendings are never used twice; data and time of an effect never change.
    fn sending_holds(&mut self, command: &Command, entry: &JournalEntry) {
        self.epoch_holds(command);
        let before = self.sent.entry(command.effect.clone()).or_default();
        // A number may be left out: that of a sending which the same input made void.
        let last = before.last().map_or(0, |last| last.send_no);
        let resumed = entry.decisions.iter().any(|decision| matches!(decision, Decision::Resumed { .. }));
        if resumed && before.last() == Some(command) {
            // It may have been lost before the pause; under the same number it harms nobody.
            return;
        }
        assert!(command.send_no > last, "the numbers of sendings count on: {command:?}");
        for earlier in before.iter() {
            assert_eq!(earlier.decided_at, command.decided_at, "an effect is decided once");
            if !earlier.is_fence() && !command.is_fence() {
                assert_eq!(earlier.meaning(), command.meaning(), "a command's data is frozen");
            }
            let left = self.left.contains(&command.effect);
            assert!(!earlier.is_fence() || command.is_fence() || left, "nothing is asked for behind a fence");
        }
        assert_eq!(command.undoes.is_some(), command.effect.direction == Direction::Backward);
        let envelope = command.to_envelope();
        assert_eq!(&Command::from_envelope(envelope).unwrap(), command, "it can be read");
        before.push(command.clone());
    }
}

impl Witness {
    /// Keeps what participants prove.
    fn listen(&mut self, entry: &JournalEntry) {
        let Input::Reply(reply) = &entry.input else { return };
        let effect = reply.effect.clone();
        self.answered.insert(effect.clone());
        match &reply.outcome {
            Outcome::Cancelled | Outcome::Rejected { .. } => _ = self.closed.insert(effect),
            Outcome::Expired => _ = self.left.insert(effect),
            _ if reply.violation.is_some() => _ = self.left.insert(effect),
            _ => {}
        }
    }

    /// An epoch opens only when the one before it was closed, or never sent; and an undo names the action
    /// that may have run.
    fn epoch_holds(&self, command: &Command) {
        let effect = &command.effect;
        if effect.epoch > 1 {
            let before = EffectId { epoch: effect.epoch - 1, ..effect.clone() };
            let sent = self.sent.contains_key(&before);
            assert!(!sent || self.closed.contains(&before), "{effect} opens before {before} is closed");
        }
        if let Some(action) = &command.undoes {
            let later = EffectId { epoch: action.epoch + 1, ..action.clone() };
            // Whoever answers has heard of it, even where the journal knows of no sending: the random world answers
            // what a pause held back.
            let may_have_run = self.sent.contains_key(action) || self.answered.contains(action);
            assert!(may_have_run, "{effect} undoes what was asked for");
            assert!(!self.sent.contains_key(&later), "{effect} undoes an epoch that is closed");
        }
    }

    /// By hand only what no participant can do any more.
    fn settling_holds(&self, transition: &Transition, before: Option<&Saga>) {
        for decision in &transition.entry.decisions {
            let (step, direction) = match decision {
                Decision::Succeeded { step, by_hand: true, .. } => (step, Direction::Forward),
                Decision::Undone { step, by_hand: true, .. } => (step, Direction::Backward),
                _ => continue,
            };
            let state = before.unwrap().instance(step).unwrap();
            let Some(effect) = state.effect(direction).filter(|effect| effect.send_no > 0) else { continue };
            let (saga, step) = (transition.saga.id, step.clone());
            let id = EffectId { saga, step, direction, epoch: effect.epoch };
            // Whatever closed it; what nobody remembers was at least asked for.
            let over = self.closed.contains(&id) || self.left.contains(&id);
            assert!(over, "{id} is settled by hand and may still happen");
        }
    }
}

fn has_compensated(saga: &Saga) -> bool {
    saga.phase == Phase::Done(amends_engine::Ending::Compensated)
}

fn is_abandoned(saga: &Saga) -> bool {
    saga.phase == Phase::Done(amends_engine::Ending::Abandoned)
}

/// While it is paused nothing leaves, and nothing is due.
fn pause_holds(transition: &Transition, definition: &Definition) {
    let saga = &transition.saga;
    if saga.paused.is_some() {
        let sent = transition.outputs.iter().filter(|output| matches!(output, Output::Send(_)));
        assert_eq!(sent.count(), 0, "nothing leaves during a pause");
        assert!(open_commands(saga, definition).is_empty());
        assert_eq!(saga.due_at(), None);
    }
}

/// I6 and I7: no action before its predecessors' success, no undo before those behind it are settled.
fn order_holds(command: &Command, saga: &Saga, definition: &Definition) {
    let name = &command.effect.step.name;
    let succeeded = |step: &Step| is_finished(saga, step);
    if let Some(index) = definition.on_compensated.iter().position(|step| step.name == *name) {
        let step = &definition.on_compensated[index];
        assert_ne!(saga.phase, Phase::Forward, "it belongs to the way back");
        assert!(step.after.iter().all(|before| succeeded(&definition.on_compensated[*before])));
        assert!(definition.steps.iter().all(|step| is_settled(saga, step)), "all is undone first");
        return;
    }
    let index = definition.steps.iter().position(|step| step.name == *name).unwrap();
    let step = &definition.steps[index];
    match command.effect.direction {
        Direction::Forward => {
            assert!(step.after.iter().all(|before| succeeded(&definition.steps[*before])), "{name} is early");
            if saga.phase != Phase::Forward {
                assert!(command.is_fence(), "nothing new is done on the way back");
            }
        }
        Direction::Backward => {
            assert!(saga.phase == Phase::Backward || is_abandoned(saga) && command.is_fence());
            let step = saga.instance(&command.effect.step).unwrap();
            assert!(step.action_effect.is_some(), "only what was decided is undone");
            let later = descendants(definition, index);
            assert!(later.iter().all(|step| is_settled(saga, step)), "{name} is undone out of order");
        }
    }
}

fn descendants(definition: &Definition, of: usize) -> Vec<&Step> {
    let mut found = vec![of];
    loop {
        let more: Vec<usize> = (0..definition.steps.len())
            .filter(|index| !found.contains(index))
            .filter(|index| definition.steps[*index].after.iter().any(|before| found.contains(before)))
            .collect();
        if more.is_empty() {
            return found[1..].iter().map(|index| &definition.steps[*index]).collect();
        }
        found.extend(more);
    }
}

/// Whether what comes behind the step may be done.
fn is_finished(saga: &Saga, step: &Step) -> bool {
    match &saga.step(&step.name).unwrap().action {
        ActionState::Succeeded { .. } | ActionState::Skipped => true,
        ActionState::Spread => saga
            .instances(&step.name)
            .all(|instance| matches!(instance.action, ActionState::Succeeded { .. })),
        _ => false,
    }
}

/// Whether nothing of the step is left to be undone.
fn is_settled(saga: &Saga, step: &Step) -> bool {
    let of_step = saga.steps.iter().filter(|state| state.name == step.name);
    of_step.into_iter().all(|state| is_one_settled(state, step))
}

fn is_one_settled(state: &StepState, step: &Step) -> bool {
    match &state.undo {
        UndoState::Undone { .. } | UndoState::NothingToUndo => true,
        UndoState::None => match &state.action {
            ActionState::Waiting
            | ActionState::Skipped
            | ActionState::Spread
            | ActionState::Rejected { .. }
            | ActionState::Cancelled => true,
            ActionState::Succeeded { .. } => matches!(step.undo, Some(amends_definition::Undo::None { .. })),
            ActionState::Awaiting(_)
            | ActionState::InFlight(_)
            | ActionState::Unknown
            | ActionState::Stuck(_) => false,
        },
        UndoState::Waiting | UndoState::InFlight(_) | UndoState::Stuck(_) => false,
    }
}

/// Every saga ends, or something in it is under way or stuck; and it is due only when there is something
/// to do.
fn standing_holds(saga: &Saga, entry: &JournalEntry, definition: &Definition) {
    let moving =
        saga.steps.iter().any(|step| {
            step.flight(Direction::Forward).is_some() || step.flight(Direction::Backward).is_some()
        }) || saga.awaited().next().is_some()
            || saga.start_at.is_some();
    let stuck = saga.steps.iter().any(amends_engine::StepState::is_stuck);
    match saga.phase {
        Phase::Done(_) => {
            assert!(is_abandoned(saga) || !moving && !stuck, "nothing is left over");
            assert!(saga.paused.is_none());
            assert_eq!(saga.due_at(), None);
            assert!(open_commands(saga, definition).is_empty());
        }
        Phase::Forward | Phase::Backward => {
            assert!(moving || stuck || saga.paused.is_some(), "it would hang for ever");
        }
    }
    let parked = stuck && !moving && saga.paused.is_none() && !is_abandoned(saga);
    assert_eq!(saga.status().as_str() == "parked", parked);
    if let (Input::Timer { .. }, Some(due_at)) = (&entry.input, saga.due_at()) {
        assert!(due_at > entry.at, "after the timer nothing is due");
    }
    if saga.phase != Phase::Forward {
        let pivot = definition.steps.iter().find(|step| step.kind == StepKind::Pivot);
        let state = pivot.map(|step| &saga.step(&step.name).unwrap().action);
        let impossible = |state: &ActionState| match state {
            ActionState::Waiting | ActionState::Rejected { .. } | ActionState::Cancelled => true,
            ActionState::Stuck(stuck) => stuck.why == StuckWhy::Cancelled,
            _ => false,
        };
        let completed = saga.phase == Phase::Done(amends_engine::Ending::Completed);
        assert!(
            completed || is_abandoned(saga) || state.is_none_or(impossible),
            "it turns only when the pivot cannot be"
        );
    }
}

fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}
