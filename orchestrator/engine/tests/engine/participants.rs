//! Participants as the protocol wants them, with an inbox, and with faults that a test gives them.
//!
//! They count what they really do, so that a test can ask whether every effect happened once, and whether
//! the books balance in the end.

use std::collections::BTreeMap;

use amends_contract::{Command, Direction, EffectId, Outcome};
use serde_json::json;

/// How one effect of one step goes. Whatever goes wrong goes right in the end, except what only a person
/// can mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// At once.
    Well,
    /// The business says no.
    Rejects,
    /// Fails more often than attempts are allowed.
    FailsLong,
    /// Fails once.
    FailsOnce,
    /// Nobody reads the command for longer than attempts are allowed.
    Deaf,
    /// It is done, but its replies are lost for longer than attempts are allowed.
    Mute,
    /// Takes some time to find out; says so.
    Pending,
    /// Never finds out, until somebody looks.
    PendingForever,
    /// Its replies come after everything else.
    Late,
    /// Each reply comes three times.
    Thrice,
    /// The effect id is closed before the command comes.
    Cancelled,
    /// The effect id is taken.
    Conflicts,
    /// The inbox does not remember so far back.
    Expired,
}

impl Way {
    pub(crate) const BAD: [Self; 12] = [
        Self::Rejects,
        Self::FailsLong,
        Self::FailsOnce,
        Self::Deaf,
        Self::Mute,
        Self::Pending,
        Self::PendingForever,
        Self::Late,
        Self::Thrice,
        Self::Cancelled,
        Self::Conflicts,
        Self::Expired,
    ];
}

/// When a reply comes.
pub(crate) enum Answer {
    Now(Outcome),
    Thrice(Outcome),
    Later(Outcome),
    Never,
}

/// More sendings than any definition of these tests has attempts.
const LONG: u32 = 6;

/// A row of the inbox.
#[derive(Clone)]
enum Row {
    Final(Outcome),
    Tombstone,
}

/// All participants of a saga.
#[derive(Default)]
pub(crate) struct Participants {
    ways: BTreeMap<String, Way>,
    inbox: BTreeMap<EffectId, Row>,
    seen: BTreeMap<EffectId, u32>,
    /// How often each effect really happened.
    pub(crate) effects: BTreeMap<EffectId, u32>,
}

impl Participants {
    /// `what` is a step, or `<step>/undo`.
    pub(crate) fn set(&mut self, what: &str, way: Way) {
        self.ways.insert(what.to_owned(), way);
    }

    /// Somebody has looked after it: from now on all goes well, and what had been refused may be asked
    /// for again.
    pub(crate) fn mend(&mut self) {
        self.ways.clear();
        self.inbox.retain(|effect, row| match row {
            Row::Final(Outcome::Rejected { .. }) => false,
            // A closed action stays closed if its undo has said so.
            Row::Tombstone => self.seen.contains_key(&counterpart(effect)),
            Row::Final(_) => true,
        });
    }

    /// How often the step's action happened, and its undo.
    pub(crate) fn net(&self, step: &str) -> (u32, u32) {
        let count = |direction| {
            let of_step = |effect: &&EffectId| effect.step.name == *step && effect.direction == direction;
            self.effects.keys().filter(of_step).map(|effect| self.effects[effect]).sum()
        };
        (count(Direction::Forward), count(Direction::Backward))
    }

    /// A command comes.
    pub(crate) fn take(&mut self, command: &Command) -> Answer {
        let effect = &command.effect;
        let suffix = if effect.direction == Direction::Forward { "" } else { "/undo" };
        let way = *self.ways.get(&format!("{}{suffix}", effect.step)).unwrap_or(&Way::Well);
        let seen = self.seen.entry(effect.clone()).or_default();
        *seen += 1;
        let seen = *seen;
        if way == Way::Cancelled && effect.direction == Direction::Forward && seen == 1 {
            self.inbox.entry(effect.clone()).or_insert(Row::Tombstone);
        }
        match way {
            Way::Deaf if seen <= LONG => Answer::Never,
            Way::Mute if seen <= LONG => {
                self.run(command, way);
                Answer::Never
            }
            Way::FailsLong if seen <= LONG => Answer::Now(failed()),
            Way::FailsOnce if seen == 1 => Answer::Now(failed()),
            Way::Pending if seen <= 2 => Answer::Now(Outcome::Pending),
            Way::PendingForever => Answer::Now(Outcome::Pending),
            Way::Conflicts if !command.is_fence() => Answer::Now(Outcome::Conflict),
            Way::Cancelled if effect.direction == Direction::Backward => Answer::Now(Outcome::Cancelled),
            Way::Expired => Answer::Now(Outcome::Expired),
            Way::Late => Answer::Later(self.run(command, way)),
            Way::Thrice => Answer::Thrice(self.run(command, way)),
            _ => Answer::Now(self.run(command, way)),
        }
    }

    /// The inbox barrier.
    fn run(&mut self, command: &Command, way: Way) -> Outcome {
        let effect = &command.effect;
        if let Some(row) = self.inbox.get(effect) {
            return match row {
                Row::Final(outcome) => outcome.clone(),
                Row::Tombstone => Outcome::Cancelled,
            };
        }
        if command.is_fence() {
            return self.close(command);
        }
        let outcome = match &command.undoes {
            None if way == Way::Rejects => rejected(),
            None => {
                self.happens(effect, Outcome::Succeeded { output: json!({ "reservation_id": "r-1" }).into() })
            }
            Some(action) => match self.inbox.entry(action.clone()).or_insert(Row::Tombstone) {
                Row::Tombstone | Row::Final(Outcome::Rejected { .. }) => Outcome::NothingToUndo,
                Row::Final(_) if way == Way::Rejects => rejected(),
                Row::Final(_) => self.happens(effect, Outcome::Undone { output: json!(null).into() }),
            },
        };
        self.inbox.insert(effect.clone(), Row::Final(outcome.clone()));
        outcome
    }

    /// A fence of an effect that has no row.
    fn close(&mut self, command: &Command) -> Outcome {
        if let Some(action) = &command.undoes {
            let row = self.inbox.entry(action.clone()).or_insert(Row::Tombstone);
            if matches!(row, Row::Tombstone | Row::Final(Outcome::Rejected { .. })) {
                self.inbox.insert(command.effect.clone(), Row::Final(Outcome::NothingToUndo));
                return Outcome::NothingToUndo;
            }
        }
        self.inbox.insert(command.effect.clone(), Row::Tombstone);
        Outcome::Cancelled
    }

    fn happens(&mut self, effect: &EffectId, outcome: Outcome) -> Outcome {
        *self.effects.entry(effect.clone()).or_default() += 1;
        outcome
    }
}

fn counterpart(effect: &EffectId) -> EffectId {
    EffectId { direction: Direction::Backward, ..effect.clone() }
}

fn failed() -> Outcome {
    Outcome::Failed { code: "down".to_owned(), retry_after_ms: None }
}

fn rejected() -> Outcome {
    Outcome::Rejected { code: "no".to_owned(), message: "the business says no".to_owned() }
}
