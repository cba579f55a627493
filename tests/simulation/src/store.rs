//! The orchestrators' database: versioned rows with their journals, and idempotency keys.
//!
//! It commits as the real one does: the rows are won first, each by its version, then the journal entries
//! of the winners are written; a loser never rolls back the others.
//!
//! Invariant: one row's version is its journal's length, unless a flaw is planted.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use amends_contract::{SagaId, StepRef, Timestamp, Token};
use amends_engine::{JournalEntry, Place, Saga};

use crate::definitions::Play;

/// For how long a claimed saga is left to its claimer, in milliseconds.
pub(crate) const LEASE_MS: u64 = 30_000;

/// What one transition leaves behind.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) saga: Rc<Saga>,
    pub(crate) expected_version: u64,
    pub(crate) entry: Rc<JournalEntry>,
    /// The caller's key, if it starts a saga.
    pub(crate) key: Option<u64>,
}

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Won,
    /// The saga is no longer, or already, as expected.
    Conflict,
    /// The key belongs to another saga.
    DuplicateKey,
}

/// A saga's row, and its journal.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) saga: Rc<Saga>,
    pub(crate) journal: Vec<Rc<JournalEntry>>,
    due_at: Option<Timestamp>,
    claimed_until: Option<Timestamp>,
}

/// The places of one limited step.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) limit: usize,
    pub(crate) taken: usize,
    wanted: Vec<(SagaId, StepRef)>,
}

/// The database.
#[derive(Debug, Default)]
pub(crate) struct Store {
    rows: BTreeMap<SagaId, Row>,
    keys: BTreeMap<u64, SagaId>,
    due: BTreeSet<(Timestamp, SagaId)>,
    held: BTreeSet<SagaId>,
    /// Who was given a place and has not used it yet.
    granted: BTreeSet<(SagaId, StepRef)>,
    /// A planted bug: the entries of losers are written, too.
    pub(crate) keeps_losers: bool,
}

impl Store {
    pub(crate) fn load(&self, id: SagaId) -> Option<Rc<Saga>> {
        self.rows.get(&id).map(|row| Rc::clone(&row.saga))
    }

    pub(crate) fn row(&self, id: SagaId) -> Option<&Row> {
        self.rows.get(&id)
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    pub(crate) fn ids(&self) -> Vec<SagaId> {
        self.rows.keys().copied().collect()
    }

    /// The saga that was started under this key.
    pub(crate) fn started(&self, key: u64) -> Option<SagaId> {
        self.keys.get(&key).copied()
    }

    /// Commits in one transaction; the results are in the same order.
    pub(crate) fn commit(&mut self, writes: &[Write]) -> Vec<Committed> {
        let results: Vec<Committed> = writes.iter().map(|write| self.win(write)).collect();
        for (write, result) in writes.iter().zip(&results) {
            if *result == Committed::Won || self.keeps_losers {
                self.append(write, *result == Committed::Won);
            }
        }
        results
    }

    fn win(&mut self, write: &Write) -> Committed {
        let id = write.saga.id;
        match (write.key.and_then(|key| self.keys.get(&key)), self.rows.get(&id)) {
            (Some(holder), _) if *holder != id => return Committed::DuplicateKey,
            (_, Some(row)) if row.saga.version == write.expected_version => {}
            (_, None) if write.expected_version == 0 => {}
            _ => return Committed::Conflict,
        }
        if let Some(key) = write.key {
            self.keys.insert(key, id);
        }
        let due_at = write.saga.due_at();
        let row = self.rows.entry(id).or_insert_with(|| Row {
            saga: Rc::clone(&write.saga),
            journal: Vec::new(),
            due_at: None,
            claimed_until: None,
        });
        if let Some(before) = row.due_at {
            self.due.remove(&(before, id));
        }
        row.saga = Rc::clone(&write.saga);
        row.due_at = due_at;
        // Whoever had claimed it has what it came for.
        row.claimed_until = None;
        if let Some(due_at) = due_at {
            self.due.insert((due_at, id));
        }
        match write.saga.held_by() {
            Some(_) => self.held.insert(id),
            None => self.held.remove(&id),
        };
        Committed::Won
    }

    fn append(&mut self, write: &Write, won: bool) {
        if let Some(row) = self.rows.get_mut(&write.saga.id)
            && (won || self.keeps_losers)
        {
            row.journal.push(Rc::clone(&write.entry));
        }
    }

    /// Claims what is due and unclaimed, the longest due first.
    pub(crate) fn claim(&mut self, now: Timestamp, limit: usize) -> Vec<Rc<Saga>> {
        let mut claimed = Vec::new();
        for (due_at, id) in &self.due {
            if *due_at > now || claimed.len() >= limit {
                break;
            }
            let Some(row) = self.rows.get_mut(id) else { continue };
            if row.claimed_until.is_none_or(|until| until <= now) {
                row.claimed_until = Some(now.plus_ms(LEASE_MS));
                claimed.push(Rc::clone(&row.saga));
            }
        }
        claimed
    }

    /// Claims what is held by an outage that is over, and unclaimed.
    pub(crate) fn claim_held(
        &mut self,
        now: Timestamp,
        limit: usize,
        is_over: impl Fn(Option<&Token>) -> bool,
    ) -> Vec<Rc<Saga>> {
        let mut claimed = Vec::new();
        for id in &self.held {
            let Some(row) = self.rows.get_mut(id) else { continue };
            let free = row.claimed_until.is_none_or(|until| until <= now);
            if free && claimed.len() < limit && row.saga.held_by().is_some_and(&is_over) {
                row.claimed_until = Some(now.plus_ms(LEASE_MS));
                claimed.push(Rc::clone(&row.saga));
            }
        }
        claimed
    }

    /// The places that are taken of each limited step, and who waits for one.
    pub(crate) fn places(&self, plays: &[Play]) -> BTreeMap<(Token, Token), Places> {
        let mut places: BTreeMap<(Token, Token), Places> = BTreeMap::new();
        for row in self.rows.values() {
            let Some(play) = plays.iter().find(|play| play.definition.digest == row.saga.digest) else {
                continue;
            };
            for (step, place) in row.saga.places() {
                let model = play.definition.step(&step.name);
                let Some(limit) = model.and_then(|model| model.concurrency) else { continue };
                let of = places.entry((play.definition.name.clone(), step.name.clone())).or_default();
                of.limit = limit as usize;
                match place {
                    Some(Place::Wanted) => of.wanted.push((row.saga.id, step.reference())),
                    Some(Place::Taken) => of.taken += 1,
                    None => {}
                }
            }
        }
        places
    }

    /// Gives free places to those who wait; tells all who have one and have not used it yet.
    pub(crate) fn grant(&mut self, plays: &[Play]) -> Vec<(SagaId, StepRef)> {
        let mut told = Vec::new();
        let mut granted = BTreeSet::new();
        for (_, Places { limit, taken, wanted }) in self.places(plays) {
            let (first, rest): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|waits| self.granted.contains(waits));
            let free = limit.saturating_sub(taken + first.len());
            for waits in first.into_iter().chain(rest.into_iter().take(free)) {
                granted.insert(waits.clone());
                told.push(waits);
            }
        }
        self.granted = granted;
        told
    }

    /// Who has been due for the longest time, and since when.
    pub(crate) fn first_due(&self) -> Option<(Timestamp, SagaId)> {
        self.due.first().copied()
    }
}
