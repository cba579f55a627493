//! A participant in memory: the inbox barrier of docs/PROTOCOL.md, sections 5 and 6, around any domain.
//!
//! Every method is one transaction: it happens as a whole, so a crash falls between two of them. What
//! really happened is counted apart from what the inbox says, or a broken inbox could not be found out.
//!
//! Invariant: what to do with a command is decided by `amends_inbox::decide` alone; a [`Defect`] is the one
//! way around it.

mod calls;
mod defect;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{Cause, Command, EffectId, Outcome, Reply, Timestamp, Token};
use amends_inbox::{Decision, State, decide};

pub use self::{calls::Ended, defect::Defect, row::Row};

/// The participant's own code: what it makes of a command that the inbox lets through.
pub trait Domain {
    /// Does the action, or undoes it.
    fn run(&mut self, command: &Command) -> Ran;
}

impl<F: FnMut(&Command) -> Ran> Domain for F {
    fn run(&mut self, command: &Command) -> Ran {
        self(command)
    }
}

/// What the domain came to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ran {
    /// This, at once and in the same transaction. What is not final leaves no trace.
    Now(Outcome),
    /// A call to the outside is needed: the intent is kept as an open row, and the outcome comes by
    /// [`Participant::call`] and [`Participant::settle`].
    Call,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Taken {
    /// The answer.
    Answered(Reply),
    /// The intent is kept; the call is to be made, and answers.
    Calls,
}

impl Taken {
    /// The answer, if there is one already.
    #[must_use]
    pub fn reply(self) -> Option<Reply> {
        match self {
            Self::Answered(reply) => Some(reply),
            Self::Calls => None,
        }
    }
}

/// One participant: its inbox, and what it really did.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Participant {
    name: Token,
    horizon_ms: u64,
    margin_ms: u64,
    defects: BTreeSet<Defect>,
    rows: BTreeMap<EffectId, Row>,
    effects: BTreeMap<EffectId, u32>,
    /// The outside world's memory: idempotency key to definite outcome.
    keys: BTreeMap<EffectId, Outcome>,
}

impl Participant {
    /// How much longer than the horizon rows are kept unless somebody says otherwise, in milliseconds (72 h).
    pub const PURGE_MARGIN_MS: u64 = 72 * 60 * 60 * 1000;

    /// One that remembers for `horizon_ms` milliseconds.
    #[must_use]
    pub const fn new(name: Token, horizon_ms: u64) -> Self {
        Self {
            name,
            horizon_ms,
            margin_ms: Self::PURGE_MARGIN_MS,
            defects: BTreeSet::new(),
            rows: BTreeMap::new(),
            effects: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The same, but it keeps rows for only so many milliseconds longer than its horizon.
    #[must_use]
    pub const fn with_margin(mut self, margin_ms: u64) -> Self {
        self.margin_ms = margin_ms;
        self
    }

    /// The same with a flaw planted.
    #[must_use]
    pub fn with_defect(mut self, defect: Defect) -> Self {
        self.defects.insert(defect);
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Token {
        &self.name
    }

    /// What the inbox says of an effect.
    #[must_use]
    pub fn row(&self, effect: &EffectId) -> Option<&Row> {
        self.rows.get(effect)
    }

    /// All rows, in the order of their effect ids.
    pub fn rows(&self) -> impl Iterator<Item = (&EffectId, &Row)> {
        self.rows.iter()
    }

    /// How often the effect really happened.
    #[must_use]
    pub fn happened(&self, effect: &EffectId) -> u32 {
        self.effects.get(effect).copied().unwrap_or_default()
    }

    /// All effects that really happened, and how often.
    pub fn effects(&self) -> impl Iterator<Item = (&EffectId, u32)> {
        self.effects.iter().map(|(effect, count)| (effect, *count))
    }

    /// Takes one command in one transaction.
    pub fn take(
        &mut self,
        command: &Command,
        cause: Option<Cause>,
        now: Timestamp,
        domain: &mut dyn Domain,
    ) -> Taken {
        let decision = self.decide(command, now);
        self.carry_out(command, cause, decision, domain)
    }

    /// Forgets the rows of sagas that are older than the horizon and its margin.
    pub fn purge(&mut self, now: Timestamp) {
        let age_ms = if self.has(Defect::PurgesEarly) {
            self.horizon_ms / 64
        } else {
            self.horizon_ms.saturating_add(self.margin_ms)
        };
        self.rows.retain(|effect, _| now.ms_since(effect.saga.made_at()) <= age_ms);
    }

    fn decide(&self, command: &Command, now: Timestamp) -> Decision {
        let known = |effect: &EffectId| self.rows.get(effect).map(Row::known);
        let own = known(&command.effect);
        let action = command.undoes.as_ref().and_then(known);
        let age_ms = now.ms_since(command.effect.saga.made_at());
        let expired = age_ms > self.horizon_ms && !self.has(Defect::NeverExpires);
        match decide(command, own.as_ref(), action.as_ref(), expired) {
            Decision::Void if self.has(Defect::TombstoneOverOpen) => {
                Decision::NothingToUndo { tombstone: true }
            }
            Decision::Repeat if self.has(Defect::RunsDuplicates) && !command.is_fence() => Decision::Run,
            decision => decision,
        }
    }

    fn carry_out(
        &mut self,
        command: &Command,
        cause: Option<Cause>,
        decision: Decision,
        domain: &mut dyn Domain,
    ) -> Taken {
        let plain = |this: &Self, outcome| Taken::Answered(this.reply(command, cause, outcome));
        match decision {
            Decision::Repeat => match self.rows.get(&command.effect).and_then(|row| row.reply.clone()) {
                Some(reply) => Taken::Answered(reply),
                None => plain(self, failed("no-recorded-reply")),
            },
            Decision::Pending => plain(self, Outcome::Pending),
            Decision::Conflict => plain(self, Outcome::Conflict),
            Decision::Expired => plain(self, Outcome::Expired),
            Decision::Cancelled => self.cancelled(command, cause),
            Decision::Close => self.record(command, cause, State::Tombstone, Outcome::Cancelled),
            Decision::NothingToUndo { tombstone } => {
                let action = command.undoes.as_ref().filter(|_| tombstone);
                if let Some(action) = action.filter(|_| !self.has(Defect::NoTombstone)) {
                    self.rows.insert(action.clone(), Row::tombstone());
                }
                self.record(command, cause, State::Final, Outcome::NothingToUndo)
            }
            Decision::Void => {
                if let Some(row) = command.undoes.as_ref().and_then(|action| self.rows.get_mut(action)) {
                    row.state = State::Voiding;
                }
                self.rows.insert(command.effect.clone(), Row::waiting(command, cause));
                plain(self, Outcome::Pending)
            }
            Decision::Run => self.run(command, cause, domain),
        }
    }

    fn run(&mut self, command: &Command, cause: Option<Cause>, domain: &mut dyn Domain) -> Taken {
        match domain.run(command) {
            Ran::Call => {
                self.rows.insert(command.effect.clone(), Row::calling(command, cause));
                Taken::Calls
            }
            Ran::Now(outcome) if outcome.is_final() => {
                if is_effect(&outcome) {
                    *self.effects.entry(command.effect.clone()).or_default() += 1;
                }
                self.record(command, cause, State::Final, outcome)
            }
            Ran::Now(outcome) => Taken::Answered(self.reply(command, cause, outcome)),
        }
    }

    /// A tombstone's first answer is recorded, so that it is the same for ever.
    fn cancelled(&mut self, command: &Command, cause: Option<Cause>) -> Taken {
        let reply = self.reply(command, cause, Outcome::Cancelled);
        match self.rows.get_mut(&command.effect) {
            Some(row) => Taken::Answered(row.reply.get_or_insert(reply).clone()),
            None => Taken::Answered(reply),
        }
    }

    fn record(&mut self, command: &Command, cause: Option<Cause>, state: State, outcome: Outcome) -> Taken {
        let reply = self.reply(command, cause, outcome);
        // What an open row waited with says what the effect means, whoever settles it.
        let before = self.rows.get(&command.effect).and_then(|row| row.meaning);
        let meaning = if command.is_fence() { before } else { Some(command.meaning()) };
        self.rows.insert(command.effect.clone(), Row::settled(state, meaning, reply.clone()));
        Taken::Answered(reply)
    }

    fn reply(&self, command: &Command, cause: Option<Cause>, outcome: Outcome) -> Reply {
        Reply {
            effect: command.effect.clone(),
            send_no: command.send_no,
            participant: self.name.clone(),
            definition: command.definition.clone(),
            decided_at: command.decided_at,
            cause,
            outcome,
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }
}

/// Whether something happened in the world.
const fn is_effect(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Succeeded { .. } | Outcome::Undone { .. })
}

fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), retry_after_ms: None }
}
