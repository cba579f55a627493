//! One saga among participants in memory, in virtual time, with one thing going wrong.
//!
//! Invariant: nothing waits for a clock; the next moment is the one at which something happens.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{
    Command, Direction, EffectId, Json, Outcome, Reply, SagaId, StepRef, Timestamp, Token,
};
use amends_definition::{Definition, Retry, Step, Undo};
use amends_engine::{
    Input, JournalEntry, OperatorAction, Output, Place, ReplyInput, Saga, Status, Verdict, handle, start,
};
use serde_json::Value;

use super::fault::{Case, Fault};
use crate::{Participant, Ran};

/// How long a message is under way, in milliseconds.
const UNDER_WAY_MS: u64 = 20;
/// After what time the broker delivers again what was not acked, in milliseconds.
const REDELIVERY_MS: u64 = 60_000;
/// How long a signal takes, in milliseconds.
const SIGNAL_MS: u64 = 1_000;
/// No saga of a definition within the limits of the language needs as many.
const EVENTS_MAX: u32 = 20_000;
/// No inbox forgets anything here: a hundred years, in milliseconds.
const HORIZON_MS: u64 = 100 * 365 * 24 * 60 * 60 * 1000;

/// What the run is made with.
pub(super) struct Props<'a> {
    pub(super) definition: &'a Definition,
    pub(super) input: &'a Value,
    /// What the steps' actions give back.
    pub(super) outputs: &'a BTreeMap<Token, Json>,
}

/// How it went.
pub(super) struct Played {
    pub(super) saga: Saga,
    pub(super) journal: Vec<JournalEntry>,
    /// How often each effect really happened.
    pub(super) effects: BTreeMap<EffectId, u32>,
    /// Commands and fences that were sent.
    pub(super) sends: u32,
    /// When the saga ended, or could not go on.
    pub(super) ended_at: Timestamp,
    /// Whether it was still going on when patience ended.
    pub(super) is_endless: bool,
}

enum Event {
    Command(Command),
    Reply(Reply),
    Signal(Token),
}

struct Stage<'a> {
    props: &'a Props<'a>,
    case: &'a Case,
    now: Timestamp,
    saga: Saga,
    journal: Vec<JournalEntry>,
    participants: BTreeMap<Token, Participant>,
    queue: BTreeMap<(Timestamp, u32), Event>,
    queued: u32,
    arrivals: BTreeMap<EffectId, u32>,
    signalled: BTreeSet<Token>,
    sends: u32,
    ended_at: Timestamp,
}

/// Plays the saga to its end.
///
/// # Errors
/// What the engine refuses, for people: a label that has no value.
pub(super) fn play(props: &Props<'_>, case: &Case) -> Result<Played, String> {
    let id = saga_id();
    let now = id.made_at();
    let transition =
        start(id, props.definition, props.input.clone(), now).map_err(|error| error.to_string())?;
    let mut stage = Stage {
        props,
        case,
        now,
        saga: transition.saga,
        journal: vec![transition.entry],
        participants: BTreeMap::new(),
        queue: BTreeMap::new(),
        queued: 0,
        arrivals: BTreeMap::new(),
        signalled: BTreeSet::new(),
        sends: 0,
        ended_at: now,
    };
    stage.publish(transition.outputs);
    stage.attend()?;
    let mut events = 0;
    while stage.step()? && events < EVENTS_MAX {
        events += 1;
    }
    let effects = stage.participants.values().flat_map(Participant::effects);
    let effects = effects.map(|(effect, count)| (effect.clone(), count)).collect();
    let Stage { saga, journal, sends, ended_at, .. } = stage;
    Ok(Played { saga, journal, effects, sends, ended_at, is_endless: events == EVENTS_MAX })
}

/// The same saga in every dry run.
pub(super) fn saga_id() -> SagaId {
    "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10".parse().unwrap_or_else(|_| unreachable!("it is a UUIDv7"))
}

impl Stage<'_> {
    /// Lets the next thing happen; `false` when there is none.
    fn step(&mut self) -> Result<bool, String> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (queued, self.saga.due_at()) {
            (Some(at), due_at) if due_at.is_none_or(|due_at| at <= due_at) => {
                self.now = self.now.max(at);
                match self.queue.pop_first() {
                    Some((_, Event::Command(command))) => self.arrive(&command)?,
                    Some((_, Event::Reply(reply))) => self.feed(Input::Reply(ReplyInput::from(reply)))?,
                    Some((_, Event::Signal(name))) => self.signal(name)?,
                    None => {}
                }
                Ok(true)
            }
            (_, Some(due_at)) => {
                self.now = self.now.max(due_at);
                self.timer(BTreeSet::new())?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn timer(&mut self, slots: BTreeSet<StepRef>) -> Result<(), String> {
        self.feed(Input::Timer { blind: false, down: BTreeSet::new(), slots })
    }

    /// What is refused changes nothing: a cancel that comes too late, a signal that nobody awaits any more.
    fn feed(&mut self, input: Input) -> Result<(), String> {
        let transition = match handle(self.saga.clone(), input, self.now, self.props.definition) {
            Ok(transition) => transition,
            Err(amends_engine::Error::Refused { .. }) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        if transition.verdict != Verdict::Applied {
            return Ok(());
        }
        let moved = |status: Status| status.is_terminal() || status == Status::Parked;
        if self.saga.status() != transition.saga.status() && moved(transition.saga.status()) {
            self.ended_at = self.now;
        }
        self.saga = transition.saga;
        self.journal.push(transition.entry);
        self.publish(transition.outputs);
        self.attend()
    }

    fn publish(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            if let Output::Send(command) = output {
                self.sends += 1;
                self.later(UNDER_WAY_MS, Event::Command(command));
            }
        }
    }

    /// Gives the saga what it waits for from outside: places and signals.
    fn attend(&mut self) -> Result<(), String> {
        let awaited: Vec<Token> = self.saga.awaited().map(|awaiting| awaiting.signal.clone()).collect();
        for signal in awaited {
            let steps = self.props.definition.steps.iter().chain(&self.props.definition.on_compensated);
            let mut waiting =
                steps.filter(|step| step.call.as_await().is_some_and(|wait| wait.signal == signal));
            let fault = waiting.next().map(|step| self.case.fault_of(&step.name, Direction::Forward));
            if !self.signalled.insert(signal.clone()) {
                continue;
            }
            match fault {
                Some(Fault::NoSignal) => {}
                Some(Fault::Cancelled) => self.cancel()?,
                _ => self.later(SIGNAL_MS, Event::Signal(signal)),
            }
        }
        let wanted = self.saga.places().filter(|(_, place)| *place == Some(Place::Wanted));
        let wanted: BTreeSet<StepRef> = wanted.map(|(step, _)| step.reference()).collect();
        if wanted.is_empty() { Ok(()) } else { self.timer(wanted) }
    }

    fn signal(&mut self, name: Token) -> Result<(), String> {
        let definition = self.props.definition;
        let mut steps = definition.steps.iter().chain(&definition.on_compensated);
        let step = steps.find(|step| step.call.as_await().is_some_and(|wait| wait.signal == name));
        let data = step.and_then(|step| self.props.outputs.get(&step.name)).cloned().unwrap_or_default();
        self.feed(Input::Signal { name, data, actor: "somebody".to_owned() })
    }

    fn cancel(&mut self) -> Result<(), String> {
        let (actor, reason) = ("owner".to_owned(), String::new());
        self.feed(Input::Operator { action: OperatorAction::Cancel, actor, reason })
    }

    /// A command comes to its participant.
    fn arrive(&mut self, command: &Command) -> Result<(), String> {
        let (step, direction) = (&command.effect.step.name, command.effect.direction);
        let arrivals = self.arrivals.entry(command.effect.clone()).or_default();
        *arrivals += 1;
        let (first, arrivals) = (*arrivals == 1, *arrivals);
        let fault = self.case.fault_of(step, direction);
        let Some(model) = self.props.definition.step(step) else { return Ok(()) };
        let (retry, resend_after_ms) = patience(model, direction);
        let lasts = arrivals <= retry.attempts;
        if fault == Fault::Cancelled && first {
            self.cancel()?;
        }
        match fault {
            Fault::Silent if lasts => {}
            Fault::CrashBefore if first => self.later(REDELIVERY_MS, Event::Command(command.clone())),
            Fault::CrashAfter if first => {
                self.take(command, fault, arrivals, lasts);
                self.later(REDELIVERY_MS, Event::Command(command.clone()));
            }
            Fault::Unknown if lasts => drop(self.take(command, fault, arrivals, lasts)),
            Fault::LostReply if first => drop(self.take(command, fault, arrivals, lasts)),
            _ => {
                let reply = self.take(command, fault, arrivals, lasts);
                let late_ms = resend_after_ms.max(retry.cap_ms).saturating_mul(u64::from(retry.attempts) + 2);
                let after_ms = match fault {
                    Fault::LateReply if lasts => late_ms,
                    _ => UNDER_WAY_MS,
                };
                if fault == Fault::Duplicate && arrivals <= 2 {
                    reply.iter().for_each(|reply| self.later(after_ms * 2, Event::Reply(reply.clone())));
                    self.later(UNDER_WAY_MS, Event::Command(command.clone()));
                }
                reply.into_iter().for_each(|reply| self.later(after_ms, Event::Reply(reply)));
            }
        }
        Ok(())
    }

    fn take(&mut self, command: &Command, fault: Fault, arrivals: u32, lasts: bool) -> Option<Reply> {
        let fails = match fault {
            Fault::FailsOnce => arrivals == 1,
            Fault::FailsLong => lasts,
            _ => false,
        };
        let outcome = match command.effect.direction {
            _ if fails => Outcome::Failed { code: "rehearsed".to_owned(), retry_after_ms: None },
            Direction::Forward if fault == Fault::Rejects => Outcome::Rejected {
                code: "rejected".to_owned(),
                message: "rejected to rehearse it".to_owned(),
            },
            Direction::Forward => {
                let output = self.props.outputs.get(&command.effect.step.name).cloned();
                Outcome::Succeeded { output: output.unwrap_or_default() }
            }
            Direction::Backward => Outcome::Undone { output: Value::Null.into() },
        };
        let name = &command.address.participant;
        let participant = self
            .participants
            .entry(name.clone())
            .or_insert_with(|| Participant::new(name.clone(), HORIZON_MS));
        participant.take(command, None, self.now, &mut |_: &Command| Ran::Now(outcome.clone())).reply()
    }

    fn later(&mut self, after_ms: u64, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now.plus_ms(after_ms), self.queued), event);
    }
}

/// How often and how long the orchestrator asks.
fn patience(step: &Step, direction: Direction) -> (&Retry, u64) {
    match (direction, &step.undo) {
        (Direction::Backward, Some(Undo::Call { retry, resend_after_ms, .. })) => (retry, *resend_after_ms),
        _ => (&step.retry, step.resend_after_ms),
    }
}
