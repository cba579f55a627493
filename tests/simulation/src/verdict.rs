//! What must hold when the storm is over and everything had time to settle.
//!
//! Invariant: a saga that is neither settled nor parked with a reason is a failed run.

use amends_contract::SagaId;
use amends_definition::{StepKind, Undo};
use amends_engine::{ActionState, Saga, Status, StepState, UndoState, replay};
use amends_rehearsal::State;

use crate::store::{LEASE_MS, Row};
use crate::violation::Violation;
use crate::witness::Traffic;
use crate::world::World;

/// Commands of one saga that may be open at once.
const OPEN_MAX: u64 = 8;

impl World {
    /// The end of the world.
    pub(crate) fn witness_end(&mut self) -> Result<(), Violation> {
        let rows: Vec<Row> = self.store.rows().cloned().collect();
        for row in &rows {
            journal_holds(row)?;
            self.has_settled(&row.saga)?;
            self.books_balance(&row.saga)?;
        }
        self.one_key_one_saga(rows.len())?;
        self.nothing_is_overdue()?;
        self.no_storm_of_sendings()?;
        self.tombstones_hold()
    }

    /// L1: terminal, or parked with a reason that people see.
    fn has_settled(&mut self, saga: &Saga) -> Result<(), Violation> {
        match saga.status() {
            Status::Completed => self.counters.count("saga: completed"),
            Status::Compensated => self.counters.count("saga: compensated"),
            Status::Abandoned => self.counters.count("saga: abandoned"),
            Status::Parked if saga.flags().needs_attention => self.counters.count("saga: parked at the end"),
            status => {
                let found = format!("it is {status} although all is well, due at {:?}", saga.due_at());
                return Err(Violation::new("L1: every saga settles or is parked", saga.id, found));
            }
        }
        if saga.status().is_terminal() && saga.due_at().is_some() {
            let found = format!("due at {:?}", saga.due_at());
            return Err(Violation::new("L1: what has settled rests", saga.id, found));
        }
        Ok(())
    }

    /// I4, L2: all of it, or nothing; counted where it happened.
    fn books_balance(&self, saga: &Saga) -> Result<(), Violation> {
        let definition = self.definition(saga);
        let status = saga.status();
        if !matches!(status, Status::Completed | Status::Compensated) {
            return Ok(());
        }
        for step in &definition.steps {
            let net = self.net(saga, &step.name);
            let wanted = saga.steps.iter().filter(|state| state.name == step.name);
            let by_hand = saga.steps.iter().any(|state| state.name == step.name && is_by_hand(state));
            let wanted = wanted.filter(|state| state.output().is_some() && state.action_effect.is_some());
            let all = i64::try_from(wanted.count()).unwrap_or_default();
            let is_fine = match (status, step.kind, &step.undo) {
                // A person's word stands for what no participant knows.
                _ if by_hand => true,
                (Status::Completed, ..) => net == all,
                (_, StepKind::Compensatable, Some(Undo::None { .. })) => net >= 0,
                _ => net == 0,
            };
            if !is_fine {
                let found = format!("{status}, and {} happened {net} times net", step.name);
                return Err(Violation::new("I4: the books balance", saga.id, found));
            }
        }
        for step in &definition.on_compensated {
            let net = self.net(saga, &step.name);
            let by_hand = saga.step(&step.name).is_some_and(is_by_hand);
            if !by_hand && net != i64::from(status == Status::Compensated) {
                let found = format!("{status}, and {} happened {net} times", step.name);
                return Err(Violation::new("I4: the books balance", saga.id, found));
            }
        }
        Ok(())
    }

    /// I12: one key, one saga; and whoever was answered has one.
    fn one_key_one_saga(&self, sagas: usize) -> Result<(), Violation> {
        let keys = (0..self.clients.len() as u64).filter(|key| self.store.started(*key).is_some()).count();
        if keys != sagas || keys != self.clients.len() {
            let found = format!("{} clients, {keys} keys, {sagas} sagas", self.clients.len());
            return Err(Violation::of_all("I12: one key, one saga", found));
        }
        Ok(())
    }

    /// L3: nothing has been due for longer than a lease.
    fn nothing_is_overdue(&self) -> Result<(), Violation> {
        match self.store.first_due() {
            Some((due_at, saga)) if self.agenda.now().ms_since(due_at) > LEASE_MS => {
                let found = format!("due since {due_at}");
                Err(Violation::new("L3: nothing is due for longer than a lease", saga, found))
            }
            _ => Ok(()),
        }
    }

    /// L5: a command goes out again only for a redelivery or a lost answer.
    fn no_storm_of_sendings(&self) -> Result<(), Violation> {
        for (saga, Traffic { decided, published, causes }) in &self.witness.traffic {
            if *published > decided + OPEN_MAX * causes {
                let found = format!("{published} published, {decided} decided, {causes} causes to repeat");
                return Err(Violation::new("L5: no storm of sendings", *saga, found));
            }
        }
        Ok(())
    }

    /// I8, over all inboxes.
    fn tombstones_hold(&self) -> Result<(), Violation> {
        for service in &self.services {
            for (effect, row) in service.participant.rows() {
                if row.state == State::Tombstone && service.participant.happened(effect) > 0 {
                    let found = format!("{effect} did");
                    return Err(Violation::new("I8: a tombstoned effect never happens", effect.saga, found));
                }
            }
        }
        Ok(())
    }
}

/// Whether an operator settled it.
pub(crate) const fn is_by_hand(step: &StepState) -> bool {
    matches!(step.action, ActionState::Succeeded { by_hand: true, .. })
        || matches!(step.undo, UndoState::Undone { by_hand: true, .. })
}

/// I1: gapless, and its replay is the row.
fn journal_holds(row: &Row) -> Result<(), Violation> {
    let id: SagaId = row.saga.id;
    let entries = row.journal.iter().map(|entry| (**entry).clone());
    match replay(entries) {
        Ok(saga) if saga == *row.saga => Ok(()),
        Ok(_) => Err(Violation::new("I1: replay gives the row", id, "it gives another".to_owned())),
        Err(error) => Err(Violation::new("I1: replay gives the row", id, error.to_string())),
    }
}
