//! A saga that is told what happens: `order().reply("reserve-stock", ok()).timer().text()`.
//!
//! Every input is witnessed; a script cannot do what breaks an invariant unnoticed.

use std::collections::BTreeSet;

use amends_contract::{Direction, EffectId, Outcome, SagaId, StepRef, Timestamp, Token};
use amends_definition::Definition;
use amends_engine::{
    ActionState, Begin, Error, Input, JournalEntry, OperatorAction, Output, PausedBy, ReplyInput, Saga,
    StepState, UndoState, Verdict, handle, start,
};
use serde_json::{Value, json};

use crate::definitions;
use crate::text;
use crate::witness::Witness;

/// 2026-11-21T08:00:00Z
pub(crate) const START: Timestamp = Timestamp::from_unix_ms(1_795_248_000_000);

pub(crate) fn saga_id() -> SagaId {
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap()
}

/// A saga and all that has happened to it.
pub(crate) struct Script {
    pub(crate) definition: Definition,
    pub(crate) saga: Saga,
    pub(crate) now: Timestamp,
    pub(crate) journal: Vec<JournalEntry>,
    noise: Noise,
    witness: Witness,
    text: String,
}

/// Whether a script keeps its text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noise {
    Told,
    Quiet,
}

/// An order that has just begun. Its start is not in the text.
pub(crate) fn order() -> Script {
    let mut script = Script::start(definitions::order(), definitions::order_input());
    script.text.clear();
    script
}

/// A parcel that has just begun.
pub(crate) fn parcel() -> Script {
    let mut script = Script::start(definitions::parcel(), json!({ "parcel": "p-1", "reason": "moved" }));
    script.text.clear();
    script
}

impl Script {
    pub(crate) fn start(definition: Definition, input: Value) -> Self {
        Self::begin(definition, input.into())
    }

    pub(crate) fn begin(definition: Definition, begin: Begin) -> Self {
        let transition = start(saga_id(), &definition, begin, START).unwrap();
        let mut witness = Witness::default();
        witness.see(None, &transition, &definition);
        let text = text::block(&transition, START, START);
        let (saga, journal) = (transition.saga, vec![transition.entry]);
        Self { definition, saga, now: START, journal, noise: Noise::Told, witness, text }
    }

    /// The clock goes on.
    pub(crate) fn after(mut self, ms: u64) -> Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    /// The input happens, or is refused.
    pub(crate) fn try_input(&mut self, input: Input) -> Result<Vec<Output>, Error> {
        let before = self.saga.clone();
        let transition = handle(before.clone(), input, self.now, &self.definition)?;
        self.witness.see(Some(&before), &transition, &self.definition);
        if self.noise == Noise::Told {
            self.text += &text::block(&transition, self.now, START);
        }
        if transition.verdict == Verdict::Applied {
            self.saga = transition.saga;
            self.journal.push(transition.entry);
        }
        Ok(transition.outputs)
    }

    /// No text is kept: for the many sagas of a harness.
    pub(crate) fn quiet(mut self) -> Self {
        self.noise = Noise::Quiet;
        self
    }

    /// The whole journal, for a message about what went wrong.
    pub(crate) fn dump(&self) -> String {
        self.journal.iter().map(|entry| serde_json::to_string(entry).unwrap() + "\n").collect()
    }

    pub(crate) fn input(mut self, input: Input) -> Self {
        self.try_input(input).unwrap();
        self
    }

    /// The step's participant answers the last sending. `what` is a step, or `<step>/undo`.
    pub(crate) fn reply(self, what: &str, outcome: Outcome) -> Self {
        let reply = self.answer(what, outcome);
        self.input(Input::Reply(reply))
    }

    /// As [`Self::reply`], but answers the sending of that number.
    pub(crate) fn reply_to(self, what: &str, send_no: u32, outcome: Outcome) -> Self {
        let reply = ReplyInput { send_no, ..self.answer(what, outcome) };
        self.input(Input::Reply(reply))
    }

    pub(crate) fn answer(&self, what: &str, outcome: Outcome) -> ReplyInput {
        let (name, direction) = effect_of(what);
        let step = self.step(&name.to_string());
        let call = self.definition.step(&step.name).unwrap().address().unwrap();
        ReplyInput {
            effect: EffectId {
                saga: self.saga.id,
                step: step.reference(),
                direction,
                epoch: step.effect(direction).map_or(1, |effect| effect.epoch),
            },
            send_no: step.effect(direction).map_or(1, |effect| effect.send_no),
            participant: call.participant.clone(),
            outcome,
            cause: None,
            violation: None,
        }
    }

    /// The timer fires when something is due.
    pub(crate) fn timer(self) -> Self {
        self.timer_in(false, &[])
    }

    /// The timer fires when something is due, but nobody would hear an answer.
    pub(crate) fn blind_timer(self) -> Self {
        self.timer_in(true, &[])
    }

    /// The timer fires when something is due, with these participants down.
    pub(crate) fn timer_with_down(self, down: &[&str]) -> Self {
        self.timer_in(false, down)
    }

    fn timer_in(mut self, blind: bool, down: &[&str]) -> Self {
        self.now = self.now.max(self.saga.due_at().expect("something is due some time"));
        let down: BTreeSet<Token> = down.iter().map(|name| name.parse().unwrap()).collect();
        self.input(Input::Timer { blind, down, slots: BTreeSet::new() })
    }

    /// What held something is over, but for these participants.
    pub(crate) fn release(self, down: &[&str]) -> Self {
        let down = down.iter().map(|name| name.parse().unwrap()).collect();
        self.input(Input::Release { down })
    }

    /// The participant says `pending` to each sending until the step is stuck.
    pub(crate) fn pending_until_stuck(mut self, what: &str) -> Self {
        for _ in 0..20 {
            if self.state(what) == "stuck" {
                return self;
            }
            self = self.reply(what, Outcome::Pending).mark().timer();
        }
        panic!("it is never stuck:\n{}", self.dump());
    }

    pub(crate) fn cancel(self) -> Self {
        self.operator(OperatorAction::Cancel, "changed my mind")
    }

    pub(crate) fn retry_now(self) -> Self {
        self.operator(OperatorAction::RetryNow, "mended")
    }

    pub(crate) fn edit(self, what: &str, data: Value) -> Self {
        self.operator(edit(what, data), "better data")
    }

    pub(crate) fn settle(self, what: &str, output: Value) -> Self {
        self.operator(settle(what, output), "by phone")
    }

    pub(crate) fn skip_wait(self) -> Self {
        self.operator(OperatorAction::SkipWait, "no time")
    }

    pub(crate) fn pause(self) -> Self {
        self.operator(OperatorAction::Pause { by: PausedBy::Operator }, "wait")
    }

    pub(crate) fn resume(self) -> Self {
        self.operator(OperatorAction::Resume { by: PausedBy::Operator }, "go on")
    }

    pub(crate) fn abandon(self) -> Self {
        self.operator(OperatorAction::Abandon, "give up")
    }

    pub(crate) fn operator(self, action: OperatorAction, reason: &str) -> Self {
        self.input(operator(action, reason))
    }

    /// What the engine says to an action that it refuses.
    pub(crate) fn refused(&mut self, action: OperatorAction) -> String {
        match self.try_input(operator(action, "please")) {
            Err(Error::Refused { why, allowed }) => format!("{why}; allowed: [{}]", allowed.join(", ")),
            other => panic!("it is not refused: {other:?}"),
        }
    }

    /// The name of a state: of a step's action, or of `<step>/undo`.
    pub(crate) fn state(&self, what: &str) -> &'static str {
        match what.split_once('/') {
            None => self.step(what).action.name(),
            Some((name, _)) => self.step(name).undo.name(),
        }
    }

    pub(crate) fn step(&self, name: &str) -> &StepState {
        self.saga.instance(&name.parse().unwrap()).unwrap()
    }

    pub(crate) fn action(&self, name: &str) -> &ActionState {
        &self.step(name).action
    }

    pub(crate) fn undo(&self, name: &str) -> &UndoState {
        &self.step(name).undo
    }

    /// Forgets the text so far.
    pub(crate) fn mark(mut self) -> Self {
        self.text.clear();
        self
    }

    /// What has happened since the start, or the last mark.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// An order whose stock is reserved.
    pub(crate) fn reserved(self) -> Self {
        self.reply("reserve-stock", succeeded(json!({ "reservation_id": "r-1" })))
    }

    /// An order that is paid, too: the pivot is in flight.
    pub(crate) fn charged(self) -> Self {
        self.reserved().reply("charge-payment", succeeded(json!({ "charge_id": "ch-1" })))
    }

    /// An order past its point of no return.
    pub(crate) fn confirmed(self) -> Self {
        self.charged().reply("confirm-stock", ok())
    }
}

/// The step that a script names, and which of its effects.
pub(crate) fn effect_of(what: &str) -> (StepRef, Direction) {
    match what.split_once('/') {
        None => (what.parse().unwrap(), Direction::Forward),
        Some((name, _)) => (name.parse().unwrap(), Direction::Backward),
    }
}

pub(crate) fn edit(what: &str, data: Value) -> OperatorAction {
    let (step, effect) = effect_of(what);
    OperatorAction::EditAndRetry { step, effect, data: data.into() }
}

pub(crate) fn settle(what: &str, output: Value) -> OperatorAction {
    let (step, effect) = effect_of(what);
    OperatorAction::SettleStep { step, effect, output: output.into() }
}

fn operator(action: OperatorAction, reason: &str) -> Input {
    Input::Operator { action, actor: "ops".to_owned(), reason: reason.to_owned() }
}

pub(crate) fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded { output: output.into() }
}

pub(crate) fn ok() -> Outcome {
    succeeded(Value::Null)
}

pub(crate) fn undone() -> Outcome {
    Outcome::Undone { output: Value::Null.into() }
}

pub(crate) fn rejected(code: &str) -> Outcome {
    Outcome::Rejected { code: code.to_owned(), message: format!("no: {code}") }
}

pub(crate) fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), retry_after_ms: None }
}
