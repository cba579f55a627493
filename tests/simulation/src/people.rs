//! Clients who start sagas and ask again under the same key, owners who cancel, operators who help.
//!
//! Invariant: a client asks until it is answered; whatever it asks, one key gives one saga.

use std::rc::Rc;

use amends_contract::{Direction, SagaId, StepRef};
use amends_engine::{ActionState, OperatorAction, PausedBy, Saga, Status};
use serde_json::{Value, json};

use crate::orchestrator::{Task, Work};
use crate::world::{Event, HORIZON_MS, World};

/// One who wants one saga.
#[derive(Debug)]
pub(crate) struct Client {
    key: u64,
    play: usize,
    input: Rc<Value>,
    /// How old the saga's id is when it is made: sagas that are started late, or had to wait long.
    age_ms: u64,
    is_answered: bool,
}

impl Client {
    pub(crate) fn new(key: u64, world: &mut World) -> Self {
        let play = world.dice.index(world.plays.len());
        let input = Rc::new(world.plays[play].clone().input(&mut world.dice));
        let age_ms = match world.dice.below(40) {
            // Too old from the start; about to be; some hours old.
            0 => HORIZON_MS + world.dice.below(600_000),
            1 | 2 => HORIZON_MS - world.dice.below(300_000),
            3 | 4 => 20 * 60 * 60 * 1000,
            _ => 0,
        };
        Self { key, play, input, age_ms, is_answered: false }
    }
}

impl World {
    /// A client asks, and asks again until it is answered.
    pub(crate) fn start(&mut self, index: usize) {
        if self.clients[index].is_answered {
            return;
        }
        let made_at = self.agenda.now().minus_ms(self.clients[index].age_ms);
        let id: SagaId = self.saga_id(made_at);
        if self.clients[index].age_ms > HORIZON_MS / 2 {
            self.counters.count("saga: older than the inbox");
        }
        let Client { key, play, ref input, .. } = self.clients[index];
        let task = Task::Start { key, play, input: Rc::clone(input) };
        let orchestrator = self.dice.index(self.orchestrators.len());
        self.submit(orchestrator, Work::new(id, task));
        let after_ms = self.dice.between(2_000, 10_000);
        self.agenda.enter(after_ms, Event::Start(index));
    }

    pub(crate) fn answered(&mut self, key: u64) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.key == key) {
            client.is_answered = true;
        }
    }

    pub(crate) fn wishes_are_fulfilled(&self) -> bool {
        self.clients.iter().all(|client| client.is_answered)
    }

    /// Owners and operators, every ten seconds.
    pub(crate) fn people(&mut self) {
        self.agenda.tick(if self.is_healing { 60_000 } else { 10_000 }, Event::People);
        let ids = self.store.ids();
        for id in &ids {
            self.signal(*id);
        }
        if self.is_healing {
            return self.help();
        }
        // Mostly somebody wants something of a saga that is not settled yet; now and then too late.
        let open = self.store.rows().filter(|row| !row.saga.status().is_terminal()).map(|row| row.saga.id);
        let open: Vec<SagaId> = open.collect();
        for _ in 0..6 {
            let from = if self.dice.chance(100) { &ids } else { &open };
            if !from.is_empty() && self.dice.chance(self.weather.people) {
                let id = from[self.dice.index(from.len())];
                if let Some(action) = self.whim(id) {
                    self.operate(id, action);
                }
            }
        }
    }

    /// Whoever is asked for approval gives it, sooner or later; where the wait is short, maybe too late.
    fn signal(&mut self, id: SagaId) {
        let Some(saga) = self.store.load(id).filter(|saga| saga.flags().awaiting) else { return };
        let awaited = saga.steps.iter().find_map(|step| match &step.action {
            ActionState::Awaiting(awaiting) => Some(awaiting.signal.clone()),
            _ => None,
        });
        if let Some(name) = awaited.filter(|_| self.dice.chance(250)) {
            let orchestrator = self.dice.index(self.orchestrators.len());
            self.submit(orchestrator, Work::new(id, Task::Signal { name }));
        }
    }

    /// What somebody may want of a saga.
    fn whim(&mut self, id: SagaId) -> Option<OperatorAction> {
        let saga = self.store.load(id)?;
        let (step, effect) = self.open_effect(&saga);
        Some(match self.dice.below(16) {
            0..=4 => OperatorAction::Cancel,
            5 => OperatorAction::Compensate,
            6..=9 => OperatorAction::RetryNow,
            10 => OperatorAction::SkipWait,
            11 => OperatorAction::Pause { by: PausedBy::default() },
            12 => OperatorAction::Resume { by: PausedBy::default() },
            13 => OperatorAction::EditAndRetry {
                step,
                effect,
                data: json!({ "edited": self.dice.below(9) }).into(),
            },
            14 => OperatorAction::SettleStep { step, effect, output: json!({ "number": 1 }).into() },
            _ if self.dice.chance(100) => OperatorAction::Abandon,
            _ => OperatorAction::RetryNow,
        })
    }

    /// An effect that is under way or stuck, if there is one.
    fn open_effect(&mut self, saga: &Saga) -> (StepRef, Direction) {
        let both = [Direction::Forward, Direction::Backward];
        let effects = saga.steps.iter().flat_map(|step| both.map(|direction| (step, direction)));
        let (open, all): (Vec<_>, Vec<_>) = effects.partition(|(step, direction)| {
            step.flight(*direction).is_some() || step.stuck(*direction).is_some()
        });
        let from = if open.is_empty() || self.dice.chance(50) { &all } else { &open };
        let (step, direction) = from.get(self.dice.index(from.len())).unwrap_or(&all[0]);
        (step.reference(), *direction)
    }

    /// An operator looks after what is parked or paused.
    fn help(&mut self) {
        let in_need: Vec<(SagaId, OperatorAction)> = self
            .store
            .rows()
            .filter_map(|row| match row.saga.status() {
                _ if row.saga.flags().paused => {
                    Some((row.saga.id, OperatorAction::Resume { by: PausedBy::default() }))
                }
                Status::Parked if self.witness.may_help(row.saga.id) => {
                    Some((row.saga.id, OperatorAction::RetryNow))
                }
                _ => None,
            })
            .collect();
        for (id, action) in in_need {
            if action == OperatorAction::RetryNow {
                self.witness.helped(id);
                self.counters.count("saga: needed an operator");
            }
            self.operate(id, action);
        }
    }

    fn operate(&mut self, id: SagaId, action: OperatorAction) {
        let counter = match action {
            OperatorAction::RetryNow => "people: retries",
            OperatorAction::Cancel | OperatorAction::Compensate => "people: cancels",
            OperatorAction::SkipWait => "people: waits skipped",
            OperatorAction::Pause { .. } => "people: pauses",
            OperatorAction::Resume { .. } => "people: resumes",
            OperatorAction::EditAndRetry { .. } => "people: edits",
            OperatorAction::SettleStep { .. } => "people: steps settled",
            OperatorAction::Abandon => "people: sagas abandoned",
        };
        self.counters.count(counter);
        self.note(|| format!("saga {id}: somebody wants {action:?}"));
        let orchestrator = self.dice.index(self.orchestrators.len());
        self.submit(orchestrator, Work::new(id, Task::Operate { action }));
    }
}
