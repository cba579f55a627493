//! A transition in the making: decisions are folded into the saga one by one, so that each is made in the
//! light of those before it.
//!
//! Invariant: what a draft hands out is what the fold of its decisions gives, and nothing else.

use amends_contract::{Address, Direction, Json, StepRef, Timestamp, Token};
use amends_definition::{Definition, Retry, Step, StepKind, Undo};
use amends_planted::{Bug, planted};

use crate::command::{command, open_commands};
use crate::{
    Ask, Decision, Effect, Flight, Ignored, Input, JournalEntry, Output, Saga, Status, StepState, Transition,
    Verdict, events, fold,
};

/// Both directions, the action first.
pub(crate) const BOTH: [Direction; 2] = [Direction::Forward, Direction::Backward];

/// A transition in the making. Steps are named by their index in [`Saga::steps`].
pub(crate) struct Draft<'a> {
    pub(crate) saga: Saga,
    pub(crate) definition: &'a Definition,
    pub(crate) now: Timestamp,
    before: Option<Status>,
    decisions: Vec<Decision>,
}

impl<'a> Draft<'a> {
    /// `before` is the saga's status, `None` if it does not exist yet.
    pub(crate) const fn new(
        saga: Saga,
        definition: &'a Definition,
        now: Timestamp,
        before: Option<Status>,
    ) -> Self {
        Self { saga, definition, now, before, decisions: Vec::new() }
    }

    /// What the saga's own clock shows: while it is paused, that stands still, so that whatever is due
    /// some time later is not moved on twice when it goes on.
    pub(crate) fn clock(&self) -> Timestamp {
        self.saga.paused.as_ref().map_or(self.now, |paused| paused.since)
    }

    /// How many decisions there are so far.
    pub(crate) const fn decided(&self) -> usize {
        self.decisions.len()
    }

    /// Makes a decision, and folds it.
    pub(crate) fn decide(&mut self, decision: Decision) {
        if self.decisions.is_empty() {
            fold::begin(&mut self.saga, self.now);
        }
        fold::apply(&mut self.saga, &decision)
            .unwrap_or_else(|misfit| unreachable!("decided about what is there: {misfit}"));
        self.decisions.push(decision);
    }

    /// Closes the journal entry.
    pub(crate) fn finish(self, input: Input) -> Transition {
        let outputs = self.outputs();
        let Self { saga, now, decisions, .. } = self;
        let entry = JournalEntry::new(saga.id, saga.version, now, input, decisions);
        Transition { saga, entry, outputs, verdict: Verdict::Applied }
    }

    fn outputs(&self) -> Vec<Output> {
        let commands =
            match self.decisions.iter().any(|decision| matches!(decision, Decision::Resumed { .. })) {
                // What was decided during the pause was never sent, and what was sent before may be lost.
                true => open_commands(&self.saga, self.definition),
                false if self.saga.paused.is_some() => Vec::new(),
                false => self.sent(),
            };
        let events = events::of(&self.saga, self.before, self.now).map(Output::Emit);
        commands.into_iter().map(Output::Send).chain(events).collect()
    }

    /// What the decisions send, as far as it is still wanted: a later decision may have made it void.
    fn sent(&self) -> Vec<amends_contract::Command> {
        let sent = self.decisions.iter().filter_map(|decision| match decision {
            Decision::Decided { step, effect, queued: false, .. } => Some((step, *effect, 1)),
            Decision::Sent { step, effect, send_no, .. } => Some((step, *effect, *send_no)),
            _ => None,
        });
        sent.filter_map(|(step, effect, send_no)| {
            let command = command(&self.saga, self.definition, self.saga.position(step)?, effect)?;
            (command.send_no == send_no).then_some(command)
        })
        .collect()
    }

    /// The input changed nothing, so the journal does not go on.
    pub(crate) fn ignore(self, input: Input, why: Ignored) -> Transition {
        let Self { saga, now, .. } = self;
        let entry = JournalEntry::new(saga.id, saga.version, now, input, Vec::new());
        Transition { saga, entry, outputs: Vec::new(), verdict: Verdict::Ignored(why) }
    }

    pub(crate) fn step(&self, index: usize) -> &StepState {
        &self.saga.steps[index]
    }

    /// How decisions name the step.
    pub(crate) fn reference(&self, index: usize) -> StepRef {
        self.step(index).reference()
    }

    /// All that goes forward, instances of `for_each` steps among them; what is left out belongs to
    /// `on_compensated`. An instance stands where its step stands.
    pub(crate) fn forward(&self) -> Vec<usize> {
        let mut forward: Vec<usize> = (0..self.saga.steps.len())
            .filter(|index| self.origin(*index) < self.definition.steps.len())
            .collect();
        forward.sort_by_key(|index| self.origin(*index));
        forward
    }

    /// The step's place in the definition; of an instance, its step's.
    pub(crate) fn origin(&self, index: usize) -> usize {
        origin(&self.saga, index)
    }

    /// Its kind; a step of `on_compensated` must succeed, whatever its file says.
    pub(crate) fn kind(&self, index: usize) -> StepKind {
        match self.definition.steps.get(self.origin(index)) {
            Some(step) => step.kind,
            None => StepKind::Retriable,
        }
    }

    pub(crate) fn model(&self, index: usize) -> &'a Step {
        model(&self.saga, self.definition, index)
    }

    /// What is in flight, with its effect.
    pub(crate) fn flight(&self, index: usize, direction: Direction) -> Option<(&Flight, &Effect)> {
        let step = self.step(index);
        step.flight(direction).zip(step.effect(direction))
    }

    /// Who is asked for the effect; `None` where nobody is.
    pub(crate) fn participant(&self, index: usize, direction: Direction) -> Option<&'a Token> {
        address(&self.saga, self.definition, index, direction).map(|address| &address.participant)
    }

    pub(crate) fn retry(&self, index: usize, direction: Direction) -> &'a Retry {
        let step = self.model(index);
        match (direction, &step.undo) {
            (Direction::Backward, Some(Undo::Call { retry, .. })) => retry,
            _ => &step.retry,
        }
    }

    /// How many sendings may end without a final outcome.
    pub(crate) fn attempts(&self, index: usize, direction: Direction) -> u32 {
        self.retry(index, direction).attempts.max(1)
    }

    /// How long an answer may take, in milliseconds. What has used up its attempts goes on more slowly.
    pub(crate) fn resend_after_ms(&self, index: usize, direction: Direction, left: u32) -> u64 {
        let step = self.model(index);
        let resend_after_ms = match (direction, &step.undo) {
            (Direction::Backward, Some(Undo::Call { resend_after_ms, .. })) => *resend_after_ms,
            _ => step.resend_after_ms,
        };
        // Zero would be due at once, for ever.
        let resend_after_ms = resend_after_ms.max(1);
        if left == 0 { resend_after_ms.max(self.retry(index, direction).cap_ms) } else { resend_after_ms }
    }

    /// Whether the effect needs one of the places of its step's `concurrency` before it is sent.
    pub(crate) fn queues(&self, index: usize, effect: Direction) -> bool {
        effect == Direction::Forward && self.model(index).concurrency.is_some()
    }

    /// Decides an effect, with data that are frozen from now on.
    pub(crate) fn open_effect(
        &mut self,
        index: usize,
        effect: Direction,
        data: Option<Json>,
        epoch: u32,
        queued: bool,
    ) {
        let step = self.reference(index);
        // JSON's null is no data: stored, it could not be told from none.
        let data = data.filter(|data| !data.is_null());
        let attempts = self.attempts(index, effect);
        let due_at = self.clock().plus_ms(self.resend_after_ms(index, effect, attempts));
        self.decide(Decision::Decided { step, effect, data, epoch, queued, attempts, due_at });
    }

    /// Sends again what was last sent, or a fence of it, under the next number.
    pub(crate) fn send_again(&mut self, index: usize, effect: Direction, ask: Ask, left: u32) {
        let step = self.step(index);
        let Some(sent) = step.effect(effect) else { return };
        let counted = u32::from(!planted(Bug::ReusesSendNo));
        let (step, send_no) = (step.reference(), sent.send_no.saturating_add(counted));
        let due_at = self.clock().plus_ms(self.resend_after_ms(index, effect, left));
        self.decide(Decision::Sent { step, effect, send_no, ask, left, due_at });
    }
}

/// The step's place in the definition, `on_compensated` behind the others; of an instance, its step's.
pub(crate) fn origin(saga: &Saga, index: usize) -> usize {
    let step = &saga.steps[index];
    match step.index {
        Some(_) => saga.steps.iter().position(|of| of.name == step.name).unwrap_or(index),
        None => index,
    }
}

/// What the definition says of the step.
pub(crate) fn model<'d>(saga: &Saga, definition: &'d Definition, index: usize) -> &'d Step {
    let origin = origin(saga, index);
    match definition.steps.get(origin) {
        Some(step) => step,
        None => &definition.on_compensated[origin - definition.steps.len()],
    }
}

/// Who does the step in this direction, and what it is asked to do; `None` for an undo that is none, and for
/// a step that waits for a signal.
pub(crate) fn address<'d>(
    saga: &Saga,
    definition: &'d Definition,
    index: usize,
    direction: Direction,
) -> Option<&'d Address> {
    let step = model(saga, definition, index);
    match direction {
        Direction::Forward => step.address(),
        Direction::Backward => step.undo_address(),
    }
}
