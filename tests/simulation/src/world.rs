//! One world: a store, a broker, orchestrators, participants and people, in one thread on one virtual clock.
//!
//! First it storms, then the weather is calm and everything has to settle. What is random comes from the
//! world's seed, so a seed replays it.
//!
//! Invariant: whatever can be cut in two by a crash is two events.

use std::collections::BTreeSet;
use std::rc::Rc;

use amends_contract::{Address, Command, Reply, SagaId, Timestamp};
use amends_definition::{Definition, StepKind};
use amends_engine::{Saga, Status};
use amends_planted::Bug;
use amends_rehearsal::{Defect, Ended, Participant};

use crate::agenda::Agenda;
use crate::counters::Counters;
use crate::definitions::{Play, beginning, plays};
use crate::dice::Dice;
use crate::orchestrator::Orchestrator;
use crate::people::Client;
use crate::queue::{Queue, Receipt};
use crate::service::{Parcel, Service};
use crate::store::Store;
use crate::violation::Violation;
use crate::weather::Weather;
use crate::witness::Witness;

/// How long it storms, in milliseconds.
const STORM_MS: u64 = 8 * 60 * 1000;
/// How long everything may take to settle afterwards, in milliseconds.
const SETTLE_MS: u64 = 60 * 60 * 1000;
/// How far back participants remember, in milliseconds (30 days).
pub(crate) const HORIZON_MS: u64 = 30 * 24 * 60 * 60 * 1000;

/// How much longer they keep their rows, in milliseconds: short, so that rows go while their sagas live.
const MARGIN_MS: u64 = 60 * 1000;

/// A bug that is planted in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// In the engine.
    Engine(Bug),
    /// In the participants.
    Participants(Defect),
    /// Replies are acknowledged when they are taken.
    AckBeforeCommit,
    /// The open commands go out again for every duplicate, not only for redeliveries.
    EchoesDuplicates,
    /// The store writes the journal entries of losers, too.
    KeepsLosers,
}

/// A process in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) index: usize,
    pub(crate) life: u32,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    // People.
    Start(usize),
    People,
    // Orchestrators.
    Take(Who),
    Commit(Who),
    Publish(Who, u64),
    Acknowledge(Who, u64),
    Timers(usize),
    OrchestratorUp(usize),
    // The broker.
    CommandArrives(usize, Option<String>, Rc<Command>),
    ReplyArrives(Rc<Reply>),
    // Participants.
    Serve(Who),
    ServeCommit(Who, Vec<(Receipt, Rc<Command>)>),
    ServePublish(Who, Parcel),
    Outside(Who, amends_contract::EffectId),
    CallEnds(Who, amends_contract::EffectId, Ended),
    Recover(usize),
    ServiceUp(usize),
    // The weather.
    Gust,
    BrokerUp,
    DatabaseUp,
    Calm,
}

/// One world.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) agenda: Agenda<Event>,
    pub(crate) weather: Weather,
    pub(crate) is_healing: bool,
    pub(crate) plays: Vec<Play>,
    /// Commands that a participant should not reject: of retriable steps.
    pub(crate) musts: BTreeSet<Address>,
    pub(crate) flaw: Option<Flaw>,
    pub(crate) store: Store,
    pub(crate) database_up: bool,
    pub(crate) broker_up: bool,
    pub(crate) replies: Queue<Reply>,
    /// An earlier state of the broker's store: replies, and commands by participant.
    pub(crate) snapshot: Option<(Queue<Reply>, Vec<Queue<Command>>)>,
    pub(crate) orchestrators: Vec<Orchestrator>,
    pub(crate) services: Vec<Service>,
    pub(crate) clients: Vec<Client>,
    pub(crate) witness: Witness,
    pub(crate) counters: Counters,
    trace: Option<Vec<String>>,
}

/// How a world ended.
#[derive(Clone, Debug)]
pub struct End {
    /// What it saw.
    pub counters: Counters,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// The last events and the journal of the saga in question; empty unless it was traced.
    pub story: Vec<String>,
}

/// Runs one world of so many sagas from its seed.
#[must_use]
pub fn run(seed: u64, sagas: usize, flaw: Option<Flaw>, traced: bool) -> End {
    let _planted = match flaw {
        Some(Flaw::Engine(bug)) => Some(amends_planted::plant(bug)),
        _ => None,
    };
    let mut world = World::new(seed, sagas, flaw, traced);
    let violation = world.live().err();
    let story = world.story(violation.as_ref());
    End { counters: world.counters, violation, story }
}

impl World {
    fn new(seed: u64, sagas: usize, flaw: Option<Flaw>, traced: bool) -> Self {
        let mut dice = Dice::seeded(seed);
        let weather = Weather::rolled(&mut dice);
        let plays = plays();
        let names = participants(&plays);
        let service = |name| {
            let participant = Participant::new(name, HORIZON_MS).with_margin(MARGIN_MS);
            Service::new(match flaw {
                Some(Flaw::Participants(defect)) => participant.with_defect(defect),
                _ => participant,
            })
        };
        let orchestrators = dice.between(1, 4);
        let mut store = Store::default();
        store.keeps_losers = flaw == Some(Flaw::KeepsLosers);
        let mut world = Self {
            agenda: Agenda::new(beginning()),
            weather,
            is_healing: false,
            musts: musts(&plays),
            plays,
            flaw,
            store,
            database_up: true,
            broker_up: true,
            replies: Queue::new(),
            snapshot: None,
            orchestrators: (0..orchestrators).map(|_| Orchestrator::default()).collect(),
            services: names.into_iter().map(service).collect(),
            clients: Vec::new(),
            witness: Witness::default(),
            counters: Counters::default(),
            trace: traced.then(Vec::new),
            dice,
        };
        world.prepare(sagas);
        world
    }

    fn prepare(&mut self, sagas: usize) {
        for index in 0..sagas {
            let client = Client::new(index as u64, self);
            self.clients.push(client);
            let after_ms = self.dice.below(STORM_MS / 2);
            self.agenda.enter(after_ms, Event::Start(index));
        }
        for index in 0..self.orchestrators.len() {
            self.agenda.tick(100 * index as u64, Event::Timers(index));
        }
        for index in 0..self.services.len() {
            self.agenda.tick(100 * index as u64, Event::Recover(index));
        }
        self.agenda.tick(1_000, Event::Gust);
        self.agenda.tick(1_500, Event::People);
        self.agenda.enter(STORM_MS, Event::Calm);
    }

    /// Lives to its end.
    fn live(&mut self) -> Result<(), Violation> {
        let end = self.agenda.now().plus_ms(STORM_MS + SETTLE_MS);
        while let Some(event) = self.agenda.next() {
            let may_end = matches!(event, Event::Timers(_)) && self.is_healing;
            self.happen(event)?;
            if may_end && self.is_settled() {
                return self.witness_end();
            }
            if self.agenda.now() > end {
                return self.witness_end();
            }
        }
        self.witness_end()
    }

    /// Whether nothing will ever happen again, unless somebody asks.
    fn is_settled(&self) -> bool {
        self.agenda.is_quiet()
            && self.replies.is_empty()
            && self.is_idle()
            && self.wishes_are_fulfilled()
            && self.store.rows().all(|row| match row.saga.status() {
                Status::Parked => !self.witness.may_help(row.saga.id),
                status => status.is_terminal(),
            })
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::Start(client) => self.start(client),
            Event::People => self.people(),
            Event::Take(who) => return self.take(who),
            Event::Commit(who) => return self.commit(who),
            Event::Publish(who, number) => self.publish(who, number),
            Event::Acknowledge(who, number) => return self.acknowledge_all(who, number),
            Event::Timers(index) => {
                self.look_for_due(index);
                self.give_places(index);
                self.release(index);
                self.replies.expire(self.agenda.now());
                if self.replies.backlog() > 0 && !self.orchestrators[index].is_down {
                    self.wake(index);
                }
                let after_ms = if self.is_healing { 2_000 } else { 700 };
                self.agenda.tick(after_ms, Event::Timers(index));
            }
            Event::OrchestratorUp(index) => {
                self.orchestrators[index].is_down = false;
                self.wake(index);
            }
            Event::CommandArrives(index, id, command) => self.store_command(index, id, command),
            Event::ReplyArrives(reply) => self.store_reply(reply),
            Event::Serve(who) => self.serve(who),
            Event::ServeCommit(who, pulled) => return self.serve_commit(who, &pulled),
            Event::ServePublish(who, parcel) => return self.serve_publish(who, &parcel),
            Event::Outside(who, effect) => return self.outside(who, &effect),
            Event::CallEnds(who, effect, ended) => return self.call_ends(who, &effect, &ended),
            Event::Recover(index) => {
                self.agenda.tick(6_000, Event::Recover(index));
                self.services[index].queue.expire(self.agenda.now());
                if self.services[index].queue.backlog() > 0 {
                    self.wake_service(index);
                }
                return self.recover(index);
            }
            Event::ServiceUp(index) => {
                self.services[index].is_down = false;
                self.wake_service(index);
                return self.recover(index);
            }
            Event::Gust => self.gust(),
            Event::BrokerUp => {
                self.broker_up = true;
                (0..self.services.len()).for_each(|index| self.wake_service(index));
            }
            Event::DatabaseUp => self.database_up = true,
            Event::Calm => {
                self.note(|| "the storm is over".to_owned());
                self.weather = self.weather.calm();
                self.is_healing = true;
            }
        }
        Ok(())
    }

    /// The definition that a saga is pinned to.
    pub(crate) fn definition(&self, saga: &Saga) -> Rc<Definition> {
        let play = self.plays.iter().find(|play| play.definition.digest == saga.digest);
        play.map_or_else(
            || unreachable!("it was started with one of them"),
            |play| Rc::clone(&play.definition),
        )
    }

    /// Writes down what happens, if anybody wants to know.
    pub(crate) fn note(&mut self, text: impl FnOnce() -> String) {
        let now = self.agenda.now();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now} {}", text()));
        }
    }

    /// What led to the violation: the last events about its saga, and its journal.
    fn story(&self, violation: Option<&Violation>) -> Vec<String> {
        let (Some(trace), Some(violation)) = (&self.trace, violation) else { return Vec::new() };
        let about = |line: &&String| violation.saga.is_none_or(|saga| line.contains(&saga.to_string()));
        let lines: Vec<String> = trace.iter().filter(about).cloned().collect();
        let mut story = vec!["Events:".to_owned()];
        story.extend(lines[lines.len().saturating_sub(60)..].iter().cloned());
        if let Some(row) = violation.saga.and_then(|saga| self.store.row(saga)) {
            story.push("Journal:".to_owned());
            story.extend(row.journal.iter().map(|entry| json(&**entry)));
            story.push("Row:".to_owned());
            story.push(json(&*row.saga));
        }
        story
    }

    pub(crate) fn saga_id(&mut self, made_at: Timestamp) -> SagaId {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.dice.roll().to_be_bytes());
        let ms = u64::try_from(made_at.unix_ms()).unwrap_or_default();
        let uuid = uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid();
        SagaId::new(uuid).unwrap_or_else(|_| unreachable!("it is of version 7"))
    }
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| error.to_string())
}

/// The commands of all steps that have to succeed in the end.
fn musts(plays: &[Play]) -> BTreeSet<Address> {
    let of = |play: &Play| {
        let retriable = play.definition.steps.iter().filter(|step| step.kind == StepKind::Retriable);
        let steps = retriable.chain(&play.definition.on_compensated);
        steps.filter_map(|step| step.address().cloned()).collect::<Vec<_>>()
    };
    plays.iter().flat_map(of).collect()
}

/// All whom the definitions call.
fn participants(plays: &[Play]) -> Vec<amends_contract::Token> {
    let steps =
        plays.iter().flat_map(|play| play.definition.steps.iter().chain(&play.definition.on_compensated));
    let mut names: Vec<_> = steps.filter_map(|step| Some(step.address()?.participant.clone())).collect();
    names.sort();
    names.dedup();
    names
}
