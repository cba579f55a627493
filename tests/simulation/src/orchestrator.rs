//! One orchestrator process: take, decide, commit, publish, acknowledge; as `server/src/core` does it.
//!
//! The queue of inputs, the batch in hand and what is being published die with the process.
//!
//! Invariant: at most one input per saga in a batch; a loser of a concurrent commit is loaded and decided
//! again; a reply is acknowledged after its commit and after its commands are out.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use amends_contract::{Command, Reply, SagaId, StepRef, Timestamp, Token};
use amends_engine::{Error, Ignored, Input, OperatorAction, Output, Saga, Transition, Verdict};
use serde_json::Value;

use crate::queue::Receipt;
use crate::store::{Committed, Write};
use crate::timers::Conditions;
use crate::violation::Violation;
use crate::world::{Event, Flaw, Who, World};

/// Most sagas in one commit.
const BATCH_MAX: usize = 12;
/// How often one input is tried again after losing.
const TRIES_MAX: u32 = 20;

/// One process.
#[derive(Debug, Default)]
pub(crate) struct Orchestrator {
    pub(crate) life: u32,
    pub(crate) is_down: bool,
    pub(crate) inputs: VecDeque<Work>,
    batch: Option<Batch>,
    publications: BTreeMap<u64, Publication>,
    publication_count: u64,
    pub(crate) conditions: Option<(Timestamp, Rc<Conditions>)>,
}

/// One input of one saga.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) saga: SagaId,
    pub(crate) task: Task,
    tries: u32,
    /// Whether an earlier try may have been committed without our hearing of it.
    uncertain: bool,
}

/// Where an input comes from.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Start { key: u64, play: usize, input: Rc<Value> },
    Operate { action: OperatorAction },
    Signal { name: Token },
    Reply { reply: Rc<Reply>, receipt: Receipt },
    Timer { claimed: Option<Rc<Saga>>, conditions: Rc<Conditions>, slots: BTreeSet<StepRef> },
    Release { claimed: Option<Rc<Saga>>, conditions: Rc<Conditions> },
}

impl Work {
    pub(crate) const fn new(saga: SagaId, task: Task) -> Self {
        Self { saga, task, tries: 0, uncertain: false }
    }

    fn receipt(&self) -> Option<Receipt> {
        match self.task {
            Task::Reply { receipt, .. } => Some(receipt),
            _ => None,
        }
    }

    /// A timer's saga is out of date once another input of it was handled.
    fn forget_claimed(&mut self) {
        if let Task::Timer { claimed, .. } | Task::Release { claimed, .. } = &mut self.task {
            *claimed = None;
        }
    }
}

#[derive(Debug, Default)]
struct Batch {
    pending: Vec<Pending>,
    publication: Publication,
}

/// A write and what it leads to.
#[derive(Debug)]
struct Pending {
    work: Work,
    before: Option<Rc<Saga>>,
    write: Write,
    commands: Vec<Rc<Command>>,
}

#[derive(Debug, Default)]
struct Publication {
    commands: Vec<Rc<Command>>,
    /// Replies with what acknowledges them.
    receipts: Vec<(Receipt, Rc<Reply>)>,
}

impl Publication {
    fn finish(&mut self, work: &Work) {
        if let Task::Reply { reply, receipt } = &work.task {
            self.receipts.push((*receipt, Rc::clone(reply)));
        }
    }
}

impl World {
    pub(crate) fn is_living(&self, who: Who) -> bool {
        let orchestrator = &self.orchestrators[who.index];
        !orchestrator.is_down && orchestrator.life == who.life
    }

    /// Gives an input to a process; `false` if it is down.
    pub(crate) fn submit(&mut self, index: usize, work: Work) -> bool {
        if self.orchestrators[index].is_down {
            return false;
        }
        self.orchestrators[index].inputs.push_back(work);
        self.wake(index);
        true
    }

    /// Has a process look for something to do.
    pub(crate) fn wake(&mut self, index: usize) {
        let who = Who { index, life: self.orchestrators[index].life };
        let after_ms = self.dice.below(5);
        self.agenda.enter(after_ms, Event::Take(who));
    }

    /// Dies with a chance, at a point of the protocol.
    fn dies(&mut self, who: Who, point: &'static str) -> bool {
        let dies = self.dice.chance(self.weather.crash);
        if dies {
            self.counters.count(point);
            self.kill_orchestrator(who.index);
        }
        dies
    }

    pub(crate) fn kill_orchestrator(&mut self, index: usize) {
        let life = self.orchestrators[index].life + 1;
        self.note(|| format!("orchestrator {index} dies"));
        self.orchestrators[index] = Orchestrator { life, is_down: true, ..Orchestrator::default() };
        let after_ms = self.dice.between(200, 8_000);
        self.agenda.enter(after_ms, Event::OrchestratorUp(index));
    }

    /// Takes a batch and decides it.
    pub(crate) fn take(&mut self, who: Who) -> Result<(), Violation> {
        if !self.is_living(who) || self.orchestrators[who.index].batch.is_some() {
            return Ok(());
        }
        if self.broker_up && self.orchestrators[who.index].inputs.len() < BATCH_MAX {
            let shuffled = self.dice.chance(self.weather.shuffled);
            let pulled = self.replies.pull(self.agenda.now(), BATCH_MAX, shuffled, &mut self.dice);
            for (receipt, reply) in pulled {
                if receipt.delivered > 1 {
                    self.counters.count("broker: redeliveries");
                    self.witness.unsure(reply.effect.saga);
                }
                let work = Work::new(reply.effect.saga, Task::Reply { reply, receipt });
                self.orchestrators[who.index].inputs.push_back(work);
            }
        }
        let works = self.one_per_saga(who.index);
        if works.is_empty() {
            return Ok(());
        }
        if !self.database_up || self.dice.chance(self.weather.database) {
            self.counters.count("commit: database failures");
            self.database_failed(who, works, false);
            return Ok(());
        }
        if self.flaw == Some(Flaw::AckBeforeCommit) {
            for work in &works {
                if let Task::Reply { reply, receipt } = &work.task {
                    self.acknowledge(*receipt, &Rc::clone(reply))?;
                }
            }
        }
        let mut batch = Batch::default();
        for work in works {
            self.decide(work, &mut batch)?;
        }
        self.orchestrators[who.index].batch = Some(batch);
        let after_ms = self.dice.between(1, 30);
        self.agenda.enter(after_ms, Event::Commit(who));
        Ok(())
    }

    fn one_per_saga(&mut self, index: usize) -> Vec<Work> {
        let inputs = &mut self.orchestrators[index].inputs;
        let count = inputs.len().min(BATCH_MAX);
        let mut seen = BTreeSet::new();
        let mut batch = Vec::with_capacity(count);
        let taken: Vec<Work> = inputs.drain(..count).collect();
        for mut work in taken {
            if seen.insert(work.saga) {
                batch.push(work);
            } else {
                work.forget_claimed();
                inputs.push_back(work);
            }
        }
        batch
    }

    /// Decides one input; `core/decide.rs`.
    fn decide(&mut self, work: Work, batch: &mut Batch) -> Result<(), Violation> {
        let claimed = match &work.task {
            Task::Timer { claimed, .. } | Task::Release { claimed, .. } => claimed.clone(),
            _ => None,
        };
        let saga = claimed.or_else(|| self.store.load(work.saga));
        let now = self.agenda.now();
        match (saga, &work.task) {
            (None, Task::Start { key, play, input }) => {
                let play = &self.plays[*play];
                let begun = amends_engine::start(work.saga, &play.definition, Value::clone(input), now);
                let transition =
                    begun.map_err(|error| Violation::new("a saga starts", work.saga, error.to_string()))?;
                let key = Some(*key);
                batch.pending.push(pending(work, None, transition, key));
            }
            // An earlier try of this very start was committed.
            (Some(saga), Task::Start { .. }) => self.publish_again(&saga, batch),
            (
                None,
                Task::Operate { .. } | Task::Signal { .. } | Task::Timer { .. } | Task::Release { .. },
            ) => {}
            (None, Task::Reply { reply, .. }) => {
                let detail = format!("{} answers {}", reply.participant, reply.effect);
                return Err(Violation::new("L4: every reply has its saga", work.saga, detail));
            }
            (Some(saga), _) => return self.decide_input(work, saga, batch),
        }
        Ok(())
    }

    fn decide_input(&mut self, work: Work, saga: Rc<Saga>, batch: &mut Batch) -> Result<(), Violation> {
        let Some(input) = input(&work) else { return Ok(()) };
        let definition = self.definition(&saga);
        let now = self.agenda.now();
        let is_reply = matches!(work.task, Task::Reply { .. });
        match amends_engine::handle(Saga::clone(&saga), input, now, &definition) {
            Ok(Transition { verdict: Verdict::Ignored(why), .. }) => {
                match why {
                    Ignored::Duplicate if is_reply => self.counters.count("engine: duplicate replies"),
                    Ignored::Stale => self.counters.count("engine: stale replies"),
                    _ => {}
                }
                let redelivered = work.receipt().is_some_and(|receipt| receipt.delivered > 1);
                let echoes = self.flaw == Some(Flaw::EchoesDuplicates) && is_reply;
                if work.uncertain || redelivered || echoes {
                    self.publish_again(&saga, batch);
                }
                batch.publication.finish(&work);
            }
            Ok(transition) => batch.pending.push(pending(work, Some(saga), transition, None)),
            Err(Error::Refused { .. }) => self.counters.count("people: refused"),
            Err(error) => return Err(Violation::new("the engine takes it", saga.id, error.to_string())),
        }
        Ok(())
    }

    fn publish_again(&mut self, saga: &Saga, batch: &mut Batch) {
        let definition = self.definition(saga);
        let commands = amends_engine::open_commands(saga, &definition);
        self.counters.add("engine: open commands published again", commands.len() as u64);
        batch.publication.commands.extend(commands.into_iter().map(Rc::new));
    }

    /// Commits the batch in hand.
    pub(crate) fn commit(&mut self, who: Who) -> Result<(), Violation> {
        if !self.is_living(who) || self.dies(who, "crash: orchestrator, before the commit") {
            return Ok(());
        }
        let Some(Batch { pending, mut publication }) = self.orchestrators[who.index].batch.take() else {
            return Ok(());
        };
        if !self.database_up || self.dice.chance(self.weather.database) {
            self.counters.count("commit: database failures");
            let works = pending.into_iter().map(|pending| pending.work).collect();
            self.database_failed(who, works, false);
        } else {
            let writes: Vec<Write> = pending.iter().map(|pending| pending.write.clone()).collect();
            let results = self.store.commit(&writes);
            for (pending, result) in pending.iter().zip(&results) {
                if *result == Committed::Won {
                    self.witness(pending.before.as_deref(), &pending.write, &pending.commands)?;
                }
            }
            if self.dies(who, "crash: orchestrator, after the commit") {
                return Ok(());
            }
            if !pending.is_empty() && self.dice.chance(self.weather.answer_lost) {
                self.counters.count("commit: answers lost");
                let works = pending.into_iter().map(|pending| pending.work).collect();
                self.database_failed(who, works, true);
            } else {
                for (pending, result) in pending.into_iter().zip(results) {
                    self.conclude(who, pending, result, &mut publication);
                }
            }
        }
        self.hand_over(who, publication);
        self.wake(who.index);
        Ok(())
    }

    /// What follows from one row's result.
    fn conclude(&mut self, who: Who, pending: Pending, result: Committed, publication: &mut Publication) {
        let Pending { mut work, commands, .. } = pending;
        match (result, &work.task) {
            (Committed::Won, _) => {
                publication.commands.extend(commands);
                publication.finish(&work);
                if let Task::Start { key, .. } = work.task {
                    self.answered(key);
                }
            }
            (Committed::DuplicateKey, Task::Start { key, .. }) => {
                self.counters.count("people: starts repeated under their key");
                self.answered(*key);
            }
            (Committed::Conflict | Committed::DuplicateKey, _) => {
                self.counters.count("commit: conflicts");
                work.tries += 1;
                if matches!(work.task, Task::Start { .. }) {
                    work.uncertain = true;
                    self.witness.unsure(work.saga);
                }
                work.forget_claimed();
                if work.tries <= TRIES_MAX {
                    self.orchestrators[who.index].inputs.push_front(work);
                } else if let Some(receipt) = work.receipt() {
                    self.replies.nak(receipt, self.agenda.now().plus_ms(1_000));
                }
            }
        }
    }

    /// Replies stay; callers are told, unless nobody knows what became of their wish; timers come again.
    fn database_failed(&mut self, who: Who, works: Vec<Work>, unknown: bool) {
        for mut work in works {
            if unknown {
                work.uncertain = true;
                self.witness.unsure(work.saga);
            }
            let stays = match work.task {
                Task::Timer { .. } | Task::Release { .. } => false,
                Task::Reply { .. } => true,
                Task::Start { .. } | Task::Operate { .. } | Task::Signal { .. } => unknown,
            };
            if stays {
                self.orchestrators[who.index].inputs.push_back(work);
            }
        }
        let after_ms = self.dice.between(100, 900);
        self.agenda.enter(after_ms, Event::Take(who));
    }

    fn hand_over(&mut self, who: Who, publication: Publication) {
        if publication.commands.is_empty() && publication.receipts.is_empty() {
            return;
        }
        let orchestrator = &mut self.orchestrators[who.index];
        orchestrator.publication_count += 1;
        let number = orchestrator.publication_count;
        orchestrator.publications.insert(number, publication);
        let after_ms = self.dice.between(1, 20);
        self.agenda.enter(after_ms, Event::Publish(who, number));
    }

    /// Publishes what a commit decided.
    pub(crate) fn publish(&mut self, who: Who, number: u64) {
        if !self.is_living(who) {
            return;
        }
        let Some(publication) = self.orchestrators[who.index].publications.get_mut(&number) else { return };
        let commands = std::mem::take(&mut publication.commands);
        for command in commands {
            if self.dies(who, "crash: orchestrator, while publishing") {
                return;
            }
            // What the broker does not take is left to the timer.
            self.post_command(&command);
        }
        let after_ms = self.dice.between(0, 10);
        self.agenda.enter(after_ms, Event::Acknowledge(who, number));
    }

    /// Acknowledges what led to it.
    pub(crate) fn acknowledge_all(&mut self, who: Who, number: u64) -> Result<(), Violation> {
        if !self.is_living(who) || self.dies(who, "crash: orchestrator, before the ack") {
            return Ok(());
        }
        let publication = self.orchestrators[who.index].publications.remove(&number);
        for (receipt, reply) in publication.unwrap_or_default().receipts {
            self.acknowledge(receipt, &reply)?;
        }
        Ok(())
    }

    fn acknowledge(&mut self, receipt: Receipt, reply: &Reply) -> Result<(), Violation> {
        if !self.broker_up || self.dice.chance(self.weather.ack_lost) {
            self.counters.count("broker: ack lost");
            return Ok(());
        }
        if self.replies.ack(receipt) { self.witness_ack(reply) } else { Ok(()) }
    }
}

fn pending(work: Work, before: Option<Rc<Saga>>, transition: Transition, key: Option<u64>) -> Pending {
    let Transition { saga, entry, outputs, .. } = transition;
    let commands = outputs.into_iter().filter_map(|output| match output {
        Output::Send(command) => Some(Rc::new(command)),
        Output::Emit(_) => None,
    });
    let expected_version = before.as_ref().map_or(0, |saga| saga.version);
    let write = Write { saga: Rc::new(saga), expected_version, entry: Rc::new(entry), key };
    Pending { work, before, write, commands: commands.collect() }
}

fn input(work: &Work) -> Option<Input> {
    match &work.task {
        Task::Start { .. } => None,
        Task::Reply { reply, .. } => Some(Input::Reply(reply.as_ref().into())),
        Task::Timer { conditions, slots, .. } => {
            let Conditions { blind, down } = Conditions::clone(conditions);
            Some(Input::Timer { blind, down, slots: slots.clone() })
        }
        Task::Release { conditions, .. } => Some(Input::Release { down: conditions.down.clone() }),
        Task::Signal { name } => Some(Input::Signal {
            name: name.clone(),
            data: Value::Bool(true).into(),
            actor: "somebody".to_owned(),
        }),
        Task::Operate { action } => Some(Input::Operator {
            action: action.clone(),
            actor: "somebody".to_owned(),
            reason: "as it happens".to_owned(),
        }),
    }
}
