//! What wakes a saga: its time has come, it is let go, or it was given a place; as the loops of
//! `server/src/core` do it.
//!
//! Invariant: what is known of the world may be a second old, never older.

use std::collections::BTreeSet;
use std::rc::Rc;

use amends_contract::Token;

use crate::orchestrator::{Task, Work};
use crate::world::World;

/// Most sagas claimed by one look.
const CLAIM_MAX: usize = 32;
/// Most sagas let go by one look.
const RELEASE_MAX: usize = 8;
/// For how long what is known of the world counts as fresh, in milliseconds.
const CONDITIONS_TTL_MS: u64 = 1_000;
/// Unread replies above which no attempt is burnt.
const REPLY_BACKLOG_MAX: usize = 40;

/// What the timers know of the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) blind: bool,
    pub(crate) down: BTreeSet<Token>,
}

impl World {
    /// Timers: claims what is due.
    pub(crate) fn look_for_due(&mut self, index: usize) {
        if self.orchestrators[index].is_down || !self.database_up {
            return;
        }
        let claimed = self.store.claim(self.agenda.now(), CLAIM_MAX);
        if claimed.is_empty() {
            return;
        }
        let conditions = self.conditions(index);
        for saga in claimed {
            self.counters.count("timer: claims");
            let (id, conditions) = (saga.id, Rc::clone(&conditions));
            let task = Task::Timer { claimed: Some(saga), conditions, slots: BTreeSet::new() };
            self.orchestrators[index].inputs.push_back(Work::new(id, task));
        }
        self.wake(index);
    }

    /// Lets go what was held by an outage that is over.
    pub(crate) fn release(&mut self, index: usize) {
        if self.orchestrators[index].is_down || !self.database_up {
            return;
        }
        let conditions = self.conditions(index);
        if conditions.blind {
            return;
        }
        let is_over = |by: Option<&Token>| by.is_none_or(|name| !conditions.down.contains(name));
        for saga in self.store.claim_held(self.agenda.now(), RELEASE_MAX, is_over) {
            self.counters.count("timer: released");
            let (id, conditions) = (saga.id, Rc::clone(&conditions));
            let task = Task::Release { claimed: Some(saga), conditions };
            self.orchestrators[index].inputs.push_back(Work::new(id, task));
            self.wake(index);
        }
    }

    /// Gives free places of limited steps to those who wait, and tells again who was given one.
    pub(crate) fn give_places(&mut self, index: usize) {
        if self.orchestrators[index].is_down || !self.database_up {
            return;
        }
        let granted = self.store.grant(&self.plays);
        for (id, step) in granted {
            self.counters.count("places: granted");
            let conditions = Rc::new(Conditions::default());
            let task = Task::Timer { claimed: None, conditions, slots: BTreeSet::from([step]) };
            self.orchestrators[index].inputs.push_back(Work::new(id, task));
            self.wake(index);
        }
    }

    /// The conditions now, or at most a second ago.
    fn conditions(&mut self, index: usize) -> Rc<Conditions> {
        let now = self.agenda.now();
        if let Some((at, known)) = &self.orchestrators[index].conditions
            && now.ms_since(*at) < CONDITIONS_TTL_MS
        {
            return Rc::clone(known);
        }
        let blind = !self.broker_up || self.replies.backlog() > REPLY_BACKLOG_MAX;
        let is_behind = |service: &&crate::service::Service| service.is_down || service.queue.backlog() > 0;
        let down = self.services.iter().filter(is_behind).map(|service| service.name().clone()).collect();
        let conditions = Rc::new(Conditions { blind, down });
        self.orchestrators[index].conditions = Some((now, Rc::clone(&conditions)));
        conditions
    }
}
