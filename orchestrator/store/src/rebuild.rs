//! A saga out of its row and its journal.
//!
//! The row's `state` is the whole saga as it was after some entry of its journal, or empty as long as there was no
//! such moment; folding the entries behind it gives the saga as it is. So a transition writes what it changes, and not
//! again all that stays. An ended saga's state is its last: whoever looks for it needs no journal.
//!
//! Invariant: what was rebuilt is at the row's version, or it is reported as unreadable.

use std::collections::HashMap;

use amends_contract::SagaId;
use amends_engine::{JournalEntry, Saga, fold, replay};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, EntityName as _, QueryResult};
use uuid::Uuid;

use crate::entity::journal;
use crate::read::{JournalRow, Unreadable, journal_row};
use crate::{Error, Store, multi};

/// A saga as far as its row says it.
pub(crate) struct Stored {
    id: SagaId,
    /// The row's: the length of the journal.
    version: i64,
    /// `None`: the journal says it all.
    state: Result<Option<Saga>, String>,
}

impl Stored {
    pub(crate) fn new(id: SagaId, version: i64, state: &str) -> Self {
        let read = || serde_json::from_str(state).map_err(|error| format!("its state: {error}"));
        let state = if state.is_empty() { Ok(None) } else { read().map(Some) };
        Self { id, version, state }
    }

    /// Of a row with `id`, `version` and `state`; `None` for one without id.
    pub(crate) fn of_row(row: &QueryResult) -> Option<Self> {
        let id = row.try_get::<Option<Uuid>>("", "id").ok().flatten()?;
        let Ok(id) = SagaId::new(id) else {
            tracing::error!(%id, "a saga's row has an id that is not a UUID of version 7; it is left out");
            return None;
        };
        let columns = || Ok((row.try_get("", "version")?, row.try_get("", "state")?));
        Some(match columns() {
            Ok((version, state)) => Self::new(id, version, String::as_str(&state)),
            Err(error) => Self { id, version: 0, state: Err(DbErr::to_string(&error)) },
        })
    }

    /// The versions between which entries are missing: that of the state, and the row's.
    fn behind(&self) -> Option<(i64, i64)> {
        let at = match self.state.as_ref().ok()? {
            Some(saga) => i64::try_from(saga.version).ok()?,
            None => 0,
        };
        (at < self.version).then_some((at, self.version))
    }

    /// The saga, with the entries behind its state.
    fn complete(self, entries: Vec<JournalRow>) -> Result<Saga, Unreadable> {
        let Self { id, version, state } = self;
        let whole = || {
            let saga = folded(state?, entries)?;
            if saga.id == id && i64::try_from(saga.version) == Ok(version) {
                Ok(saga)
            } else {
                let (of, at) = (saga.id, saga.version);
                Err(format!(
                    "its state and journal come to version {at} of saga {of}, the row is at {version}"
                ))
            }
        };
        whole().map_err(|why| Unreadable { id, why })
    }
}

/// The saga after these entries of its journal, which are all of it where there is no state.
fn folded(state: Option<Saga>, entries: Vec<JournalRow>) -> Result<Saga, String> {
    let entries = entries.into_iter().map(|JournalRow { seq, entry }| {
        entry.map_err(|error| format!("entry {seq} of its journal: {error}"))
    });
    let mut entries = entries.collect::<Result<Vec<JournalEntry>, String>>()?.into_iter();
    let saga = match state {
        Some(saga) => entries.try_fold(saga, |mut saga, entry| fold(&mut saga, &entry).map(|()| saga)),
        None => replay(entries),
    };
    saga.map_err(|error| format!("its journal: {error}"))
}

impl Store {
    /// The sagas, in the same order. Entries that a state lacks are read from `db`; they never change, and are
    /// deleted with the saga, which has ended long before.
    pub(crate) async fn rebuild(
        &self,
        db: &impl ConnectionTrait,
        stored: Vec<Stored>,
    ) -> Result<Vec<Result<Saga, Unreadable>>, DbErr> {
        let behind = |stored: &Stored| {
            stored.behind().map(|(from, to)| [stored.id.uuid().into(), from.into(), to.into()])
        };
        let behind: Vec<[Value; 3]> = stored.iter().filter_map(behind).collect();
        let mut entries = self.entries(db, &behind).await?;
        let complete = |stored: Stored| {
            let entries = entries.remove(&stored.id.uuid()).unwrap_or_default();
            stored.complete(entries)
        };
        Ok(stored.into_iter().map(complete).collect())
    }

    /// Sagas that were read or written here before, with what their journals have gained since: another process went on
    /// with them. Those whose journals have gained nothing that can be read are left out; only [`load`](Self::load) says
    /// what is true of them.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn caught_up(&self, sagas: Vec<Saga>) -> Result<Vec<Saga>, Error> {
        let behind = |saga: &Saga| {
            let version = i64::try_from(saga.version).unwrap_or(i64::MAX);
            [saga.id.uuid().into(), version.into(), i64::MAX.into()]
        };
        let behind: Vec<[Value; 3]> = sagas.iter().map(behind).collect();
        let mut entries = self.entries(self.reader(), &behind).await?;
        let caught_up = |saga: Saga| {
            let entries = entries.remove(&saga.id.uuid())?;
            folded(Some(saga), entries).ok()
        };
        Ok(sagas.into_iter().filter_map(caught_up).collect())
    }

    /// Of each saga the entries of its journal behind the first number, up to the second, in their order.
    async fn entries(
        &self,
        db: &impl ConnectionTrait,
        behind: &[[Value; 3]],
    ) -> Result<HashMap<Uuid, Vec<JournalRow>>, DbErr> {
        let behind: Vec<&[Value]> = behind.iter().map(<[Value; 3]>::as_slice).collect();
        let head = "SELECT j.saga_id, j.seq, j.entry FROM";
        let tail = format!(
            "JOIN {} AS j ON j.saga_id = v.column1 AND j.seq > v.column2 AND j.seq <= v.column3 \
             ORDER BY j.saga_id, j.seq",
            journal::Entity.table_name()
        );
        let rows_max = self.config().rows_max;
        let mut entries: HashMap<Uuid, Vec<JournalRow>> = HashMap::new();
        for row in multi::run(db, self.dialect(), rows_max, head, &behind, &tail).await? {
            entries.entry(row.try_get("", "saga_id")?).or_default().push(journal_row(&row)?);
        }
        Ok(entries)
    }
}
