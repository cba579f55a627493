//! The participant's side: the rehearsal's participant, which decides by the SDK's own inbox rules.
//!
//! Invariant: each event is one transaction of the participant, or one act of the world outside it.

use amends_contract::{Command, Direction, EffectId, Outcome, Reply};
use amends_inbox::State;
use amends_rehearsal::{Ended, Participant, Ran, Taken};
use serde_json::{Value, json};

use crate::breach::{Breach, Breaches};
use crate::mail::{Mail, Message};
use crate::orchestrator::{NOW, saga_id};
use crate::pool::{Memo, Pool};
use crate::scene::{Answers, Flaw, Scene};

/// What can happen at the participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// A command comes, by its number in the mail; if it is let through, the domain does this.
    Command(u32, How),
    /// The outside does what it was called for, for a step.
    OutsideActs(u8, How),
    /// The participant hears of it, and settles the row.
    Settles(u8),
    /// The call definitely did nothing.
    DoesNothing(u8),
    /// A waiting undo goes on.
    Resumes(u8, How),
}

/// What the domain does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It happens.
    Well,
    /// The business says no.
    Rejects,
    /// It does not work this time.
    Fails,
    /// It takes a call to the outside.
    Calls,
}

/// The participant at one moment.
#[derive(Debug)]
pub struct Service {
    pub(crate) participant: Participant,
    /// By step: how often it was done and undone, and whether it has a tombstone.
    pub(crate) books: Vec<Book>,
}

/// What really happened of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) done: u32,
    pub(crate) undone: u32,
    pub(crate) tombstone: bool,
}

impl Book {
    pub(crate) const fn is_balanced(self) -> bool {
        self.done == self.undone
    }
}

/// What an event led to.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) service: u32,
    pub(crate) reply: Option<u32>,
    /// The step of which something happened in the world.
    pub(crate) effect: Option<(u8, Direction)>,
}

/// All states of the participant.
#[derive(Debug)]
pub(crate) struct Services {
    steps: Vec<Line>,
    pub(crate) pool: Pool<Service>,
    happened: Memo<(u32, Event), Happened>,
}

/// A step's place in the saga.
#[derive(Debug)]
struct Line {
    action: EffectId,
    undo: EffectId,
    after: Vec<usize>,
    has_undo: bool,
    is_forward: bool,
}

impl Services {
    pub(crate) fn new(scene: &Scene) -> Self {
        let definition = &scene.definition;
        let forward = definition.steps.len();
        let steps = definition.steps.iter().chain(&definition.on_compensated).enumerate();
        let effect = |name: &amends_contract::Token, direction| EffectId {
            saga: saga_id(),
            step: name.clone().into(),
            direction,
            epoch: 1,
        };
        let steps = steps.map(|(index, step)| Line {
            action: effect(&step.name, Direction::Forward),
            undo: effect(&step.name, Direction::Backward),
            after: step.after.clone(),
            has_undo: step.undo_address().is_some(),
            is_forward: index < forward,
        });
        Self { steps: steps.collect(), pool: Pool::default(), happened: Memo::default() }
    }

    /// The participant before anything happens.
    pub(crate) fn open(&self, flaw: Option<Flaw>) -> u32 {
        let horizon_ms = 1_000_000_000_000_000;
        let participant = Participant::new("shop".parse().unwrap(), horizon_ms);
        self.store(match flaw {
            Some(Flaw::Participant(defect)) => participant.with_defect(defect),
            _ => participant,
        })
    }

    /// What can happen next, apart from commands that come.
    pub(crate) fn own_events(&self, service: u32, answers: &Answers) -> Vec<Event> {
        let service = self.pool.get(service);
        let mut events = Vec::new();
        for effect in service.participant.open_calls() {
            let step = self.place(effect);
            match outside(&service.participant, effect) {
                Some(_) => events.push(Event::Settles(step)),
                None => {
                    events.push(Event::OutsideActs(step, How::Well));
                    if answers.rejects && effect.direction == Direction::Forward {
                        events.push(Event::OutsideActs(step, How::Rejects));
                    }
                    if answers.fails {
                        events.push(Event::DoesNothing(step));
                    }
                }
            }
        }
        events.extend(
            service.participant.ready_undos().map(|effect| Event::Resumes(self.place(effect), How::Well)),
        );
        events
    }

    pub(crate) fn happen(&self, service: u32, event: Event, mail: &Mail) -> Happened {
        self.happened.get((service, event), || {
            let before = self.pool.get(service);
            let mut participant = before.participant.clone();
            let reply = self.run(&mut participant, event, mail);
            let reply = reply.map(|reply| mail.put(Message::Reply(reply)));
            let service = self.store(participant);
            let after = self.pool.get(service);
            Happened { service, reply, effect: difference(&before.books, &after.books) }
        })
    }

    fn run(&self, participant: &mut Participant, event: Event, mail: &Mail) -> Option<Reply> {
        match event {
            Event::Command(id, how) => match &*mail.get(id) {
                Message::Command(command) => {
                    participant.take(command, None, NOW, &mut |command: &Command| ran(command, how)).reply()
                }
                Message::Reply(_) => panic!("a reply is no command"),
            },
            Event::OutsideActs(step, how) => {
                let effect = self.open_call(participant, step);
                participant.call(&effect, outcome(effect.direction, how));
                None
            }
            Event::Settles(step) => {
                let effect = self.open_call(participant, step);
                let known = outside(participant, &effect).expect("the outside has acted");
                participant.settle(&effect, Ended::Definite(known))
            }
            Event::DoesNothing(step) => {
                let effect = self.open_call(participant, step);
                participant.settle(&effect, Ended::Nothing(failed()))
            }
            Event::Resumes(step, how) => {
                let effect = self.steps[usize::from(step)].undo.clone();
                participant.resume(&effect, &mut |command: &Command| ran(command, how)).and_then(Taken::reply)
            }
        }
    }

    /// Whether what happened of a step was in its turn.
    pub(crate) fn judge(&self, books: &[Book], effect: (u8, Direction), succeeded: &[bool]) -> Breaches {
        let mut breaches = Breaches::default();
        let index = usize::from(effect.0);
        let line = &self.steps[index];
        if !line.is_forward {
            return breaches;
        }
        match effect.1 {
            Direction::Forward => {
                let early = |before: &usize| !succeeded[*before] || books[*before].undone > 0;
                breaches.add_if(line.after.iter().any(early), Breach::TooEarly);
            }
            Direction::Backward => {
                let later = |line: &Line| line.is_forward && line.has_undo && line.after.contains(&index);
                let open =
                    self.steps.iter().zip(books).any(|(line, book)| later(line) && !book.is_balanced());
                breaches.add_if(open, Breach::OutOfOrder);
            }
        }
        breaches
    }

    fn place(&self, effect: &EffectId) -> u8 {
        let place = self.steps.iter().position(|line| line.action.step == effect.step);
        u8::try_from(place.expect("it is a step of the saga")).unwrap()
    }

    /// The step's effect that is being called for; an action before its undo.
    fn open_call(&self, participant: &Participant, step: u8) -> EffectId {
        let line = &self.steps[usize::from(step)];
        participant
            .open_calls()
            .find(|effect| effect.step == line.action.step)
            .cloned()
            .expect("a call is open")
    }

    fn store(&self, participant: Participant) -> u32 {
        let key = format!("{participant:?}");
        self.pool.id(key, || {
            let book = |line: &Line| {
                let row = participant.row(&line.action);
                Book {
                    done: participant.happened(&line.action),
                    undone: participant.happened(&line.undo),
                    tombstone: row.is_some_and(|row| row.state == State::Tombstone),
                }
            };
            Service { books: self.steps.iter().map(book).collect(), participant }
        })
    }
}

fn difference(before: &[Book], after: &[Book]) -> Option<(u8, Direction)> {
    (0..).zip(before.iter().zip(after)).find_map(|(step, (before, after))| {
        if before.done != after.done {
            Some((step, Direction::Forward))
        } else {
            (before.undone != after.undone).then_some((step, Direction::Backward))
        }
    })
}

/// What the outside has made of a call, if it has done anything.
fn outside(participant: &Participant, effect: &EffectId) -> Option<Outcome> {
    let asked = participant.clone().call(effect, failed());
    (asked != failed()).then_some(asked)
}

fn ran(command: &Command, how: How) -> Ran {
    match how {
        How::Calls => Ran::Call,
        how => Ran::Now(outcome(command.effect.direction, how)),
    }
}

fn outcome(direction: Direction, how: How) -> Outcome {
    match (how, direction) {
        (How::Rejects, _) => Outcome::Rejected { code: "no".to_owned(), message: String::new() },
        (How::Fails, _) => failed(),
        (How::Well | How::Calls, Direction::Forward) => {
            Outcome::Succeeded { output: json!({ "number": 1 }).into() }
        }
        (How::Well | How::Calls, Direction::Backward) => Outcome::Undone { output: Value::Null.into() },
    }
}

fn failed() -> Outcome {
    Outcome::Failed { code: "down".to_owned(), retry_after_ms: None }
}
