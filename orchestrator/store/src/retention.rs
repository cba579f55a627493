//! Deleting sagas whose time is over, with everything that hangs on them.
//!
//! First whoever may be old enough is listed, by the reader; then some of them are taken and deleted in one short
//! transaction. On PostgreSQL several processes take different ones; on SQLite there is only one.
//!
//! Invariant: a saga goes as a whole or not at all, and only one that has ended and has not changed since it was
//! listed.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{SagaId, Timestamp, Token};
use amends_engine::{Saga, Status};
use sea_orm::sea_query::{ExprTrait as _, Query, Value};
use sea_orm::{
    ColumnTrait as _, DatabaseTransaction, DbErr, EntityName as _, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::{deleted_saga, idempotency, journal, place, saga, saga_label};
use crate::list::{ended, first_id};
use crate::read::Loaded;
use crate::{Error, Store, multi};

/// A saga that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedSaga {
    /// Its id.
    pub id: SagaId,
    /// The version of its definition.
    pub definition_version: u32,
    /// Its own version: the length of its journal.
    pub version: u64,
    /// When it took its last input: at the earliest when it ended.
    pub updated_at: Timestamp,
}

/// Sagas that are about to be deleted. To be ended by [`Taken::delete`]; of no saga at all, if need be.
#[derive(Debug)]
pub struct Taken {
    store: Store,
    /// PostgreSQL: holds the rows locked, so that others pass over them.
    locked: Option<DatabaseTransaction>,
    loaded: Loaded,
}

impl Store {
    /// Up to `limit` sagas of the definition that have ended and were made before `made_before`, in the order of
    /// their ids, from behind `after` on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn ended_sagas(
        &self,
        definition: &Token,
        made_before: Timestamp,
        after: Option<SagaId>,
        limit: u32,
    ) -> Result<Vec<EndedSaga>, Error> {
        use saga::Column;
        let mut query = saga::Entity::find()
            .select_only()
            .columns([Column::Id, Column::DefinitionVersion, Column::Version, Column::UpdatedAtMs])
            .filter(Column::DefinitionName.eq(definition.as_str()))
            .filter(ended())
            .filter(Column::Id.lt(first_id(made_before)));
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after.uuid()));
        }
        let rows: Vec<(Uuid, i64, i64, i64)> =
            query.order_by_asc(Column::Id).limit(u64::from(limit)).into_tuple().all(self.reader()).await?;
        let ended = |(id, definition_version, version, updated_at_ms)| {
            Some(EndedSaga {
                id: SagaId::new(id).ok()?,
                definition_version: u32::try_from(definition_version).ok()?,
                version: u64::try_from(version).ok()?,
                updated_at: Timestamp::from_unix_ms(updated_at_ms),
            })
        };
        Ok(rows.into_iter().filter_map(ended).collect())
    }

    /// Those of the sagas that are there and have not ended.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn open_among(&self, sagas: &BTreeSet<SagaId>) -> Result<BTreeSet<SagaId>, Error> {
        let mut open = BTreeSet::new();
        let sagas: Vec<Uuid> = sagas.iter().map(|id| id.uuid()).collect();
        for chunk in sagas.chunks(self.config().rows_max.max(1)) {
            let found: Vec<Uuid> = saga::Entity::find()
                .select_only()
                .column(saga::Column::Id)
                .filter(saga::Column::Id.is_in(chunk.iter().copied()))
                .filter(ended().not())
                .into_tuple()
                .all(self.reader())
                .await?;
            open.extend(found.into_iter().filter_map(|id| SagaId::new(id).ok()));
        }
        Ok(open)
    }

    /// Takes those of the sagas that are still as they were listed and that nobody else is about to delete.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn take_ended(&self, sagas: &[EndedSaga]) -> Result<Taken, Error> {
        let mut sagas = sagas.to_vec();
        sagas.sort_unstable_by_key(|saga| saga.id);
        let rows: Vec<[Value; 2]> = sagas.iter().map(|saga| key(saga.id, saga.version)).collect();
        let rows: Vec<&[Value]> = rows.iter().map(<[Value; 2]>::as_slice).collect();
        let (table, lock) = (saga::Entity.table_name(), self.dialect().lock_free_rows("s"));
        let head = "SELECT s.id, s.version, s.state FROM";
        let tail =
            format!("JOIN {table} AS s ON s.id = v.column1 AND s.version = v.column2 ORDER BY s.id {lock}");
        let (dialect, rows_max) = (self.dialect(), self.config().rows_max);
        // Where rows are locked, they are until they are gone; elsewhere the deletion looks again.
        let locked = if dialect.locks_rows() { Some(self.begin().await?) } else { None };
        let found = match &locked {
            Some(transaction) => multi::run(transaction, dialect, rows_max, head, &rows, &tail).await?,
            None => multi::run(self.reader(), dialect, rows_max, head, &rows, &tail).await?,
        };
        let loaded = self.loaded(self.reader(), self.now().await?, &found).await?;
        Ok(Taken { store: self.clone(), locked, loaded })
    }

    /// Those of the sagas that were deleted when their time was over, and how each had ended. Only those are known
    /// that participants may remember.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn deleted_among(&self, sagas: &[SagaId]) -> Result<BTreeMap<SagaId, Status>, Error> {
        let mut deleted = BTreeMap::new();
        let sagas: Vec<Uuid> = sagas.iter().map(|id| id.uuid()).collect();
        for chunk in sagas.chunks(self.config().rows_max.max(1)) {
            let query =
                deleted_saga::Entity::find().filter(deleted_saga::Column::Id.is_in(chunk.iter().copied()));
            for row in query.all(self.reader()).await? {
                if let (Ok(id), Ok(status)) = (SagaId::new(row.id), row.status.parse()) {
                    deleted.insert(id, status);
                }
            }
        }
        Ok(deleted)
    }

    /// Forgets up to `limit` deleted sagas that were made before `made_before`. Returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn forget_deleted(&self, made_before: Timestamp, limit: u32) -> Result<u64, Error> {
        use deleted_saga::{Column, Entity};
        let oldest = Query::select()
            .column(Column::Id)
            .from(Entity)
            .and_where(Column::Id.lt(first_id(made_before)))
            .order_by(Column::Id, sea_orm::Order::Asc)
            .limit(u64::from(limit))
            .take();
        let delete = Entity::delete_many().filter(Column::Id.in_subquery(oldest));
        Ok(delete.exec(self.writer()).await?.rows_affected)
    }
}

impl Taken {
    /// Those that were taken, in the order of their ids. One whose row cannot be read is not among them: nobody
    /// knows what hangs on it, so it stays.
    #[must_use]
    pub fn sagas(&self) -> &[Saga] {
        &self.loaded.sagas
    }

    /// Those that cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> &[crate::Unreadable] {
        &self.loaded.unreadable
    }

    /// Deletes those of them that `which` names, with their journals, labels, places and idempotency keys, and lets
    /// the others be. Of those made at `remembered_from` or later it is remembered that they were there. Returns how
    /// many went.
    ///
    /// # Errors
    /// Nothing is deleted on [`Error::Unavailable`] and the others; after [`Error::OutcomeUnknown`] it may be.
    pub async fn delete(self, which: &BTreeSet<SagaId>, remembered_from: Timestamp) -> Result<usize, Error> {
        let Self { store, locked, loaded } = self;
        let may_go = |saga: &&Saga| which.contains(&saga.id) && saga.status().is_terminal();
        let chosen: Vec<&Saga> = loaded.sagas.iter().filter(may_go).collect();
        let transaction = match locked {
            Some(transaction) => transaction,
            None if chosen.is_empty() => return Ok(0),
            None => store.begin().await?,
        };
        let deletion = Deletion { store: &store, db: &transaction };
        match deletion.run(&chosen, remembered_from, loaded.now).await {
            Ok(count) => {
                transaction.commit().await.map_err(Error::at_commit)?;
                Ok(count)
            }
            Err(error) => {
                if let Err(problem) = transaction.rollback().await {
                    tracing::debug!(error = %problem, "a rollback failed; the connection is given up");
                }
                Err(error.into())
            }
        }
    }
}

struct Deletion<'a> {
    store: &'a Store,
    db: &'a DatabaseTransaction,
}

impl Deletion<'_> {
    async fn run(&self, sagas: &[&Saga], remembered_from: Timestamp, now: Timestamp) -> Result<usize, DbErr> {
        let keys: Vec<[Value; 2]> = sagas.iter().map(|saga| key(saga.id, saga.version)).collect();
        let keys: Vec<&[Value]> = keys.iter().map(<[Value; 2]>::as_slice).collect();
        let head = format!(
            "DELETE FROM {} WHERE (id, version) IN (SELECT column1, column2 FROM",
            saga::Entity.table_name()
        );
        // The sagas first: who lost one to a late input leaves what hangs on it alone.
        let gone = self.run_multi(&head, &keys, ") RETURNING id, status").await?;
        let gone: Vec<(Uuid, String)> = gone
            .iter()
            .map(|row| Ok((row.try_get("", "id")?, row.try_get("", "status")?)))
            .collect::<Result<_, DbErr>>()?;
        let ids: Vec<[Value; 1]> = gone.iter().map(|(id, _)| [(*id).into()]).collect();
        let ids: Vec<&[Value]> = ids.iter().map(<[Value; 1]>::as_slice).collect();
        let hanging = [
            journal::Entity.table_name(),
            saga_label::Entity.table_name(),
            place::Entity.table_name(),
            idempotency::Entity.table_name(),
        ];
        for table in hanging {
            let head = format!("DELETE FROM {table} WHERE saga_id IN (SELECT column1 FROM");
            self.run_multi(&head, &ids, ")").await?;
        }
        self.remember(&gone, remembered_from, now).await?;
        Ok(gone.len())
    }

    async fn remember(
        &self,
        gone: &[(Uuid, String)],
        remembered_from: Timestamp,
        now: Timestamp,
    ) -> Result<(), DbErr> {
        let lowest = first_id(remembered_from);
        let rows: Vec<[Value; 3]> = gone
            .iter()
            .filter(|(id, _)| *id >= lowest)
            .map(|(id, status)| [(*id).into(), status.clone().into(), now.unix_ms().into()])
            .collect();
        let rows: Vec<&[Value]> = rows.iter().map(<[Value; 3]>::as_slice).collect();
        let columns = ["id", "status", "deleted_at_ms"];
        let (dialect, rows_max) = (self.store.dialect(), self.store.config().rows_max);
        let table = (deleted_saga::Entity.table_name(), columns.as_slice());
        // A saga may come back under the same id (a step that is another saga has a derived one), and go again.
        let again = "ON CONFLICT (id) DO NOTHING";
        multi::insert(self.db, dialect, rows_max, table, &rows, again).await.map(drop)
    }

    async fn run_multi(&self, head: &str, rows: &[&[Value]], tail: &str) -> Result<Vec<QueryResult>, DbErr> {
        let rows_max = self.store.config().rows_max;
        multi::run(self.db, self.store.dialect(), rows_max, head, rows, tail).await
    }
}

fn key(saga: SagaId, version: u64) -> [Value; 2] {
    [saga.uuid().into(), i64::try_from(version).unwrap_or(i64::MAX).into()]
}
