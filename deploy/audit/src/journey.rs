//! What a saga's journal tells: its effects, its turn, and whether everything came in its order.
//!
//! It is read without the engine, step by step, so that an engine that decides wrongly, and would decide the
//! same again, is found out.
//!
//! Invariant: it takes what stands in the journal as true, and only judges the order of it.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Direction, EffectId, Outcome, SagaId, StepRef, Timestamp};
use amends_definition::{Definition, StepKind, Undo};
use amends_engine::{Alarm, Ask, Decision, Ending, Input, JournalEntry, ReplyInput, StuckWhy};

use crate::Invariant;

/// What a journal tells of one effect.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// The entry that decided it.
    pub(crate) seq: u64,
    pub(crate) decided_at: Timestamp,
    pub(crate) last_sent_at: Timestamp,
    pub(crate) sends: u64,
    pub(crate) send_no: u32,
    pub(crate) fenced: bool,
    /// An operator's word stood in for it after the participant had said that it does not remember.
    forgotten: bool,
    /// Replies that were journalled, with their entries.
    pub(crate) replies: Vec<(u64, ReplyInput)>,
}

/// What is known of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Waiting,
    /// Decided, and waiting for one of the places of its step.
    Queued,
    /// Sent at least once, without an outcome.
    Asked,
    Succeeded,
    /// By an operator's word.
    ByHand,
    /// Rejected or cancelled.
    Closed,
    Skipped,
    Spread,
}

/// What is known of an undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undoing {
    None,
    Planned,
    Asked,
    Undone,
    /// By an operator's word.
    ByHand,
    Nothing,
}

/// A step, or an instance of one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) action: Action,
    /// Of its last action.
    pub(crate) epoch: u32,
    pub(crate) undo: Undoing,
    pub(crate) undo_epoch: u32,
}

impl Standing {
    const NEW: Self = Self { action: Action::Waiting, epoch: 0, undo: Undoing::None, undo_epoch: 0 };

    const fn may_have_run(self) -> bool {
        matches!(self.action, Action::Asked | Action::Succeeded | Action::ByHand)
    }

    /// Whether an operator's word stands where a participant's should.
    pub(crate) const fn is_by_hand(self) -> bool {
        matches!(self.action, Action::ByHand) || matches!(self.undo, Undoing::ByHand)
    }
}

/// Something that came out of its order.
#[derive(Clone, Debug)]
pub(crate) struct Breach {
    pub(crate) invariant: Invariant,
    pub(crate) seq: u64,
    pub(crate) what: String,
}

/// All that a journal tells.
#[derive(Clone, Debug)]
pub(crate) struct Journey<'a> {
    saga: SagaId,
    definition: Option<&'a Definition>,
    pub(crate) effects: BTreeMap<EffectId, Story>,
    pub(crate) steps: BTreeMap<StepRef, Standing>,
    /// The frozen plan of what is undone; `None` before the turn.
    pub(crate) plan: Option<BTreeSet<StepRef>>,
    /// The entry with which it turned.
    turned_at: Option<u64>,
    pub(crate) ended: Option<Ending>,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) late_replies: u64,
    pub(crate) operator_actions: u64,
    pub(crate) conflicts: u64,
    pub(crate) unknown: u64,
}

impl<'a> Journey<'a> {
    /// Reads a journal. Without the definition the order of steps is not judged.
    pub(crate) fn read(saga: SagaId, journal: &[JournalEntry], definition: Option<&'a Definition>) -> Self {
        let mut journey = Self {
            saga,
            definition,
            effects: BTreeMap::new(),
            steps: BTreeMap::new(),
            plan: None,
            turned_at: None,
            ended: None,
            breaches: Vec::new(),
            late_replies: 0,
            operator_actions: 0,
            conflicts: 0,
            unknown: 0,
        };
        for entry in journal {
            let ended_before = journey.ended.is_some();
            journey.input(entry);
            for decision in &entry.decisions {
                if ended_before && moves(decision) {
                    let what = format!("{} after the end", name(decision));
                    journey.breach(Invariant::I2, entry.seq, what);
                }
                journey.decision(entry, decision);
            }
        }
        journey
    }

    /// How the step of an effect stands.
    pub(crate) fn standing(&self, effect: &EffectId) -> Option<Standing> {
        self.steps.get(&effect.step).copied()
    }

    fn breach(&mut self, invariant: Invariant, seq: u64, what: String) {
        self.breaches.push(Breach { invariant, seq, what });
    }

    fn input(&mut self, entry: &JournalEntry) {
        match &entry.input {
            Input::Reply(reply) => {
                self.conflicts += u64::from(reply.outcome == Outcome::Conflict);
                let Some(story) = self.effects.get_mut(&reply.effect) else { return };
                let late = reply.send_no < story.send_no
                    || (self.turned_at.is_some_and(|turned_at| story.seq < turned_at)
                        && reply.effect.direction == Direction::Forward);
                self.late_replies += u64::from(late);
                story.replies.push((entry.seq, reply.clone()));
            }
            Input::Operator { action, actor, reason } => {
                self.operator_actions += 1;
                // The owner need not say why.
                let excused = action.name() == amends_engine::OperatorAction::Cancel.name();
                if actor.trim().is_empty() || (reason.trim().is_empty() && !excused) {
                    let what = format!("{} by {actor:?} because of {reason:?}", action.name());
                    self.breach(Invariant::I11, entry.seq, what);
                }
            }
            Input::Signal { name, actor, .. } if actor.trim().is_empty() => {
                self.breach(Invariant::I11, entry.seq, format!("nobody sent the signal {name}"));
            }
            Input::Start { .. } | Input::Timer { .. } | Input::Release { .. } | Input::Signal { .. } => {}
        }
    }

    fn decision(&mut self, entry: &JournalEntry, decision: &Decision) {
        match decision {
            Decision::Started { steps, .. } => {
                let steps = steps.iter().map(|step| (StepRef::from(step.clone()), Standing::NEW));
                self.steps = steps.collect();
            }
            Decision::Spread { step, elements } => {
                self.stand(step).action = Action::Spread;
                for index in (0..).take(elements.len()) {
                    let instance = StepRef { name: step.name.clone(), index: Some(index) };
                    self.steps.insert(instance, Standing::NEW);
                }
            }
            Decision::Decided { .. } | Decision::Sent { .. } => self.sending(entry, decision),
            Decision::Turned { undo, failure: _ } => self.turn(entry.seq, undo),
            Decision::Done { ending, .. } => self.end(entry.seq, *ending),
            Decision::Skipped { step } => self.stand(step).action = Action::Skipped,
            Decision::Succeeded { step, by_hand, .. } => {
                self.by_hand(entry, step, Direction::Forward, *by_hand);
                self.succeeded(entry.seq, step, *by_hand);
            }
            Decision::Rejected { step, .. } | Decision::Cancelled { step } => {
                self.stand(step).action = Action::Closed;
            }
            Decision::Stuck { step, effect: Direction::Forward, at } if at.why == StuckWhy::Cancelled => {
                self.stand(step).action = Action::Closed;
            }
            Decision::Unknown { .. } => self.unknown += 1,
            Decision::Undone { step, by_hand, .. } => {
                self.by_hand(entry, step, Direction::Backward, *by_hand);
                self.stand(step).undo = if *by_hand { Undoing::ByHand } else { Undoing::Undone };
            }
            Decision::NothingToUndo { step } => self.stand(step).undo = Undoing::Nothing,
            Decision::Alarmed { step, alarm } => self.alarmed(entry, step, *alarm),
            _ => {}
        }
    }

    fn alarmed(&mut self, entry: &JournalEntry, step: &StepRef, alarm: Alarm) {
        let story = match &entry.input {
            Input::Reply(reply) => self.effects.get(&reply.effect),
            _ => None,
        };
        // It had proved nothing.
        let is_forgotten = story.is_some_and(|story| story.forgotten);
        if is_forgotten && matches!(alarm, Alarm::SucceededAfterClosed | Alarm::UndoneAfterClosed) {
            return;
        }
        let what = format!("step {step}: the participant contradicted its own proof: {alarm:?}");
        self.breach(Invariant::I8, entry.seq, what);
    }

    fn sending(&mut self, entry: &JournalEntry, decision: &Decision) {
        match decision {
            Decision::Decided { step, effect: direction, epoch, queued, .. } => {
                match direction {
                    Direction::Forward => self.before_action(entry.seq, step),
                    Direction::Backward => self.before_undo(entry.seq, step),
                }
                self.before_epoch(entry.seq, step, *direction, *epoch);
                let standing = self.stand(step);
                match direction {
                    Direction::Forward => {
                        standing.action = if *queued { Action::Queued } else { Action::Asked };
                        standing.epoch = *epoch;
                    }
                    Direction::Backward => {
                        (standing.undo, standing.undo_epoch) = (Undoing::Asked, *epoch);
                    }
                }
                let sends = u32::from(!queued);
                let story = Story {
                    seq: entry.seq,
                    decided_at: entry.at,
                    last_sent_at: entry.at,
                    sends: sends.into(),
                    send_no: sends,
                    fenced: false,
                    forgotten: false,
                    replies: Vec::new(),
                };
                self.effects.insert(self.effect(step, *direction, *epoch), story);
            }
            Decision::Sent { step, effect: direction, send_no, ask, .. } => {
                let standing = self.stand(step);
                if standing.action == Action::Queued && *direction == Direction::Forward {
                    standing.action = Action::Asked;
                }
                let epoch = match direction {
                    Direction::Forward => standing.epoch,
                    Direction::Backward => standing.undo_epoch,
                };
                let effect = self.effect(step, *direction, epoch);
                if let Some(story) = self.effects.get_mut(&effect) {
                    if *send_no <= story.send_no {
                        let what =
                            format!("{effect} is sent as number {send_no}, which it was sent as before");
                        self.breaches.push(Breach { invariant: Invariant::I6, seq: entry.seq, what });
                    }
                    story.sends += 1;
                    (story.send_no, story.last_sent_at) = (*send_no, entry.at);
                    story.fenced |= matches!(ask, Ask::Fence(_));
                }
            }
            _ => {}
        }
    }

    fn turn(&mut self, seq: u64, undo: &[StepRef]) {
        if self.plan.is_some() {
            self.breach(Invariant::I2, seq, "the saga turns a second time".to_owned());
        }
        let plan: BTreeSet<StepRef> = undo.iter().cloned().collect();
        for step in &plan {
            if !self.steps.get(step).is_some_and(|standing| standing.may_have_run()) {
                let what = format!("step {step} is to be undone, and was never asked for");
                self.breach(Invariant::I7, seq, what);
            }
            self.stand(step).undo = Undoing::Planned;
        }
        let left_out: Vec<StepRef> = self
            .steps
            .iter()
            .filter(|(step, standing)| {
                standing.may_have_run() && self.has_undo(step) && !plan.contains(*step)
            })
            .map(|(step, _)| step.clone())
            .collect();
        for step in left_out {
            self.breach(Invariant::I7, seq, format!("step {step} may have run and is not to be undone"));
        }
        let guessed: Vec<StepRef> = self
            .steps
            .iter()
            .filter(|(step, standing)| standing.may_have_run() && self.is_pivot(step))
            .map(|(step, _)| step.clone())
            .collect();
        for step in guessed {
            let what = format!("the saga turns, and its pivot {step} may have happened");
            self.breach(Invariant::I7, seq, what);
        }
        (self.plan, self.turned_at) = (Some(plan), Some(seq));
    }

    fn end(&mut self, seq: u64, ending: Ending) {
        let definition = self.definition;
        match ending {
            Ending::Completed => {
                let steps = definition.map(|definition| &definition.steps).into_iter().flatten();
                let open: Vec<_> =
                    steps.filter(|step| !self.is_done(step.name.as_str())).map(|step| &step.name).collect();
                for step in open {
                    self.breach(Invariant::I6, seq, format!("completed without step {step}"));
                }
            }
            Ending::Compensated => {
                for step in self.not_undone(|_| true) {
                    self.breach(Invariant::I7, seq, format!("compensated, and step {step} is not undone"));
                }
            }
            Ending::Abandoned => {}
        }
        self.ended = Some(ending);
    }

    /// An action is decided: what comes before it has happened.
    fn before_action(&mut self, seq: u64, step: &StepRef) {
        let Some(definition) = self.definition else { return };
        let after_the_turn = definition.on_compensated.iter().any(|of| of.name == step.name);
        if after_the_turn {
            for left in self.not_undone(|_| true) {
                let what = format!("step {step} is asked for, and step {left} is not undone");
                self.breach(Invariant::I7, seq, what);
            }
        } else if self.plan.is_some() {
            self.breach(Invariant::I2, seq, format!("step {step} is asked for after the turn"));
        }
        let list = if after_the_turn { &definition.on_compensated } else { &definition.steps };
        let Some(of) = list.iter().find(|of| of.name == step.name) else { return };
        for before in &of.after {
            let before = &list[*before].name;
            if !self.is_done(before.as_str()) {
                let what = format!("step {step} is asked for before step {before} has succeeded");
                self.breach(Invariant::I6, seq, what);
            }
        }
    }

    /// An undo is decided: it is planned, and what came after it is undone.
    fn before_undo(&mut self, seq: u64, step: &StepRef) {
        if !self.plan.as_ref().is_some_and(|plan| plan.contains(step)) {
            self.breach(Invariant::I7, seq, format!("step {step} is undone without being in the plan"));
        }
        let Some(definition) = self.definition else { return };
        for later in self.not_undone(|later| is_before(definition, step, later)) {
            let what = format!("step {step} is undone before step {later}, which came after it");
            self.breach(Invariant::I7, seq, what);
        }
    }

    /// A new epoch is decided: the old one was never sent, or is closed for ever.
    fn before_epoch(&mut self, seq: u64, step: &StepRef, direction: Direction, epoch: u32) {
        let old = epoch.checked_sub(1).map(|epoch| self.effect(step, direction, epoch));
        if old.and_then(|old| self.effects.get(&old)).is_some_and(Story::may_happen) {
            let what = format!("epoch {epoch} of step {step} begins, and the one before may still happen");
            self.breach(Invariant::I3, seq, what);
        }
    }

    /// A step is done, once: what says so again is a duplicate, and changes nothing.
    fn succeeded(&mut self, seq: u64, step: &StepRef, by_hand: bool) {
        let done = if by_hand { Action::ByHand } else { Action::Succeeded };
        let before = std::mem::replace(&mut self.stand(step).action, done);
        if matches!(before, Action::Succeeded | Action::ByHand) {
            self.breach(Invariant::I3, seq, format!("step {step} succeeds, and had succeeded before"));
        }
    }

    /// An operator's word: the participant was asked first.
    fn by_hand(&mut self, entry: &JournalEntry, step: &StepRef, direction: Direction, by_hand: bool) {
        if by_hand
            && let Input::Reply(reply) = &entry.input
            && reply.outcome == Outcome::Expired
            && let Some(story) = self.effects.get_mut(&reply.effect)
        {
            story.forgotten = true;
        }
        let epoch = self.steps.get(step).map_or(0, |standing| match direction {
            Direction::Forward => standing.epoch,
            Direction::Backward => standing.undo_epoch,
        });
        let asked = self.effects.get(&self.effect(step, direction, epoch));
        if by_hand && asked.is_some_and(|story| !story.fenced && story.may_happen()) {
            let what = format!("step {step} is settled by hand, and may still happen by itself");
            self.breach(Invariant::I3, entry.seq, what);
        }
    }

    /// Planned steps that are not undone yet.
    fn not_undone(&self, which: impl Fn(&StepRef) -> bool) -> Vec<StepRef> {
        let open = |step: &&StepRef| {
            self.steps
                .get(*step)
                .is_some_and(|standing| matches!(standing.undo, Undoing::Planned | Undoing::Asked))
        };
        self.plan.iter().flatten().filter(|step| which(step)).filter(open).cloned().collect()
    }

    fn is_done(&self, name: &str) -> bool {
        let done = |action| matches!(action, Action::Succeeded | Action::ByHand | Action::Skipped);
        let mut of_name = self.steps.iter().filter(|(step, _)| step.name == *name);
        of_name.all(|(_, standing)| done(standing.action) || standing.action == Action::Spread)
    }

    fn has_undo(&self, step: &StepRef) -> bool {
        let step = self.definition.and_then(|definition| definition.step(step.name.as_str()));
        step.is_some_and(|step| matches!(step.undo, Some(Undo::Call { .. })))
    }

    fn is_pivot(&self, step: &StepRef) -> bool {
        let step = self.definition.and_then(|definition| definition.step(step.name.as_str()));
        step.is_some_and(|step| step.kind == StepKind::Pivot)
    }

    fn effect(&self, step: &StepRef, direction: Direction, epoch: u32) -> EffectId {
        EffectId { saga: self.saga, step: step.clone(), direction, epoch }
    }

    fn stand(&mut self, step: &StepRef) -> &mut Standing {
        self.steps.entry(step.clone()).or_insert(Standing::NEW)
    }
}

impl Story {
    /// Whether it was sent and no participant has closed it.
    fn may_happen(&self) -> bool {
        let closes = |outcome: &Outcome| matches!(outcome, Outcome::Cancelled | Outcome::Rejected { .. });
        self.sends > 0 && !self.replies.iter().any(|(_, reply)| closes(&reply.outcome))
    }
}

/// Whether a decision asks for something or changes the phase, which nothing does after the end.
const fn moves(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Decided { .. }
            | Decision::Sent { .. }
            | Decision::Turned { .. }
            | Decision::Done { .. }
            | Decision::Begun
            | Decision::Awaited { .. }
            | Decision::Spread { .. }
    )
}

fn name(decision: &Decision) -> String {
    let value = serde_json::to_value(decision).unwrap_or_default();
    let text = |pointer: &str| value.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default();
    format!("`{}` {}", text("/decision"), text("/step")).trim_end().to_owned()
}

/// Whether `first` comes before `second`, at any distance.
fn is_before(definition: &Definition, first: &StepRef, second: &StepRef) -> bool {
    let position = |name: &StepRef| definition.steps.iter().position(|step| step.name == name.name);
    let (Some(first), Some(second)) = (position(first), position(second)) else { return false };
    let mut open = vec![second];
    let mut seen = BTreeSet::new();
    while let Some(index) = open.pop() {
        for before in &definition.steps[index].after {
            if *before == first {
                return true;
            }
            if seen.insert(*before) {
                open.push(*before);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
