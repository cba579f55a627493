//! One try of one transaction on PostgreSQL: a bounded number of statements, however many sagas the batch has.
//!
//! Invariant: every transaction touches the tables in the same order (keys, new sagas, changed sagas, what
//! hangs on them) and the rows of each in the order of their keys, so that no two wait for each other.

use std::collections::{HashMap, HashSet};

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseTransaction, DbErr, EntityName as _, IdenStatic as _, QueryResult};
use uuid::Uuid;

use super::CommitResult;
use super::batch::{Batch, CHANGING, Change, EVENTS, FIXED, JOURNAL, KEYS, Key, LABELS, Outcome, Row, names};
use crate::entity::saga::Column;
use crate::entity::{idempotency, journal, outbox, saga, saga_label};
use crate::places::{self, PlaceRows};
use crate::{Error, OutboxRow, Store, multi};

impl Store {
    pub(super) async fn attempt(&self, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let transaction = self.begin().await?;
        let attempt = Attempt { store: self, db: &transaction };
        match attempt.run(batch).await {
            Ok(outcomes) => {
                transaction.commit().await.map_err(Error::at_commit)?;
                Ok(outcomes)
            }
            Err(error) => {
                // Awaited, so that the connection is clean when the next batch takes it.
                if let Err(problem) = transaction.rollback().await {
                    tracing::debug!(error = %problem, "a rollback failed; the connection is given up");
                }
                Err(error.into())
            }
        }
    }
}

struct Attempt<'a> {
    store: &'a Store,
    db: &'a DatabaseTransaction,
}

impl Attempt<'_> {
    async fn run(&self, batch: &Batch) -> Result<Vec<Outcome>, DbErr> {
        let mut outcomes = vec![Outcome::from(CommitResult::Conflict); batch.len];
        let refused = self.take_keys(&batch.rows).await?;
        let (refused_rows, open): (Vec<&Row>, Vec<&Row>) =
            batch.rows.iter().partition(|row| refused.contains_key(&row.id));
        for row in refused_rows {
            outcomes[row.place] = refused[&row.id].into();
        }
        let mut won = self.insert_new(&open).await?;
        won.extend(self.update_changed(&open).await?);
        let (winners, losers): (Vec<&Row>, Vec<&Row>) =
            open.into_iter().partition(|row| won.contains(&row.id));
        self.give_back_keys(&losers).await?;
        let mut seqs = self.insert_with_sagas(&winners).await?;
        for row in winners {
            let seqs = row.events.iter().filter_map(|event| seqs.remove(&event.event_id)).collect();
            outcomes[row.place] = Outcome { result: CommitResult::Won, seqs };
        }
        Ok(outcomes)
    }

    /// Takes the idempotency keys; returns the sagas whose key is taken already.
    async fn take_keys(&self, rows: &[Row]) -> Result<HashMap<Uuid, CommitResult>, DbErr> {
        let mut keyed: Vec<&Row> = rows.iter().filter(|row| row.key.is_some()).collect();
        // Of one key twice in a batch the caller's first wins.
        keyed.sort_by_key(|row| (row.key.as_ref().map(|key| (key.owner, &key.key)), row.place));
        let mut keyed: Vec<(&Key, Uuid)> =
            keyed.into_iter().filter_map(|row| Some((row.key.as_ref()?, row.id))).collect();
        if keyed.is_empty() {
            return Ok(HashMap::new());
        }
        let table = idempotency::Entity.table_name();
        let values: Vec<&[Value]> = keyed.iter().map(|(key, _)| key.row.as_slice()).collect();
        let conflict = r#"ON CONFLICT (owner, "key") DO NOTHING RETURNING saga_id"#;
        let won = ids(&self.insert((table, &names(&KEYS)), &values, conflict).await?, "saga_id")?;
        keyed.retain(|(_, saga)| !won.contains(saga));
        // Our own earlier try may hold the key, if its outcome was unknown: then the saga is there.
        let pairs: Vec<[Value; 2]> = keyed.iter().map(|(key, _)| key.pair()).collect();
        let pairs: Vec<&[Value]> = pairs.iter().map(<[Value; 2]>::as_slice).collect();
        let head = format!("SELECT t.saga_id FROM {table} AS t JOIN");
        let tail = r#"ON t.owner = v.column1 AND t."key" = v.column2"#;
        let holders = ids(&self.run_multi(&head, &pairs, tail).await?, "saga_id")?;
        let result = |saga| match holders.contains(saga) {
            true => CommitResult::Conflict,
            false => CommitResult::DuplicateKey,
        };
        Ok(keyed.iter().map(|(_, saga)| (*saga, result(saga))).collect())
    }

    /// A key goes with its saga or not at all.
    async fn give_back_keys(&self, losers: &[&Row]) -> Result<(), DbErr> {
        let pairs: Vec<[Value; 2]> =
            losers.iter().filter_map(|row| row.key.as_ref()).map(Key::pair).collect();
        let pairs: Vec<&[Value]> = pairs.iter().map(<[Value; 2]>::as_slice).collect();
        let table = idempotency::Entity.table_name();
        let head = format!(r#"DELETE FROM {table} WHERE (owner, "key") IN (SELECT column1, column2 FROM"#);
        self.run_multi(&head, &pairs, ")").await?;
        Ok(())
    }

    async fn insert_new(&self, rows: &[&Row]) -> Result<HashSet<Uuid>, DbErr> {
        let values: Vec<&[Value]> =
            rows.iter().filter(|row| row.change == Change::New).map(|row| row.saga.as_slice()).collect();
        let columns = names(FIXED.iter().chain(&CHANGING));
        let conflict = "ON CONFLICT (id) DO NOTHING RETURNING id";
        let returned = self.insert((saga::Entity.table_name(), &columns), &values, conflict).await?;
        ids(&returned, "id")
    }

    /// Wins the rows whose version is as expected. They are locked in the order of their ids first: the order in
    /// which an UPDATE that joins takes them is the planner's.
    async fn update_changed(&self, rows: &[&Row]) -> Result<HashSet<Uuid>, DbErr> {
        let values: Vec<&[Value]> =
            rows.iter().filter(|row| row.change != Change::New).map(|row| row.saga.as_slice()).collect();
        let table = saga::Entity.table_name();
        let set = |(column, place): (&Column, i32)| match column {
            Column::State => format!("state = COALESCE(w.column{place}, {table}.state)"),
            column => format!("{} = w.column{place}", column.as_str()),
        };
        let set = CHANGING.iter().zip(3..).map(set).collect::<Vec<_>>().join(", ");
        let lock = self.store.dialect().lock_rows("s");
        let tail = format!(
            "JOIN {table} AS s ON s.id = v.column1 AND s.version = v.column2 ORDER BY s.id {lock}) \
             UPDATE {table} SET {set} FROM w \
             WHERE {table}.id = w.saga_id AND {table}.version = w.column2 RETURNING id"
        );
        let head = "WITH w AS (SELECT s.id AS saga_id, v.* FROM";
        ids(&self.run_multi(head, &values, &tail).await?, "id")
    }

    /// What hangs on the sagas that were won; gives the places of their events by the events' ids.
    async fn insert_with_sagas(&self, winners: &[&Row]) -> Result<HashMap<String, i64>, DbErr> {
        let journal: Vec<&[Value]> = winners.iter().map(|row| row.journal.as_slice()).collect();
        let labels: Vec<&[Value]> = winners.iter().flat_map(|row| &row.labels).map(Vec::as_slice).collect();
        let events: Vec<[Value; EVENTS.len()]> =
            winners.iter().flat_map(|row| &row.events).map(event_values).collect();
        let events: Vec<&[Value]> = events.iter().map(<[Value; EVENTS.len()]>::as_slice).collect();
        self.insert((journal::Entity.table_name(), &names(&JOURNAL)), &journal, "").await?;
        self.insert((saga_label::Entity.table_name(), &names(&LABELS)), &labels, "").await?;
        let outbox = (outbox::Entity.table_name(), names(&EVENTS));
        let events = self.insert((outbox.0, &outbox.1), &events, "RETURNING event_id, seq").await?;
        let places: Vec<&PlaceRows> = winners.iter().map(|row| &row.places).collect();
        places::write(self.db, self.store.dialect(), self.store.config().rows_max, &places).await?;
        events.iter().map(|row| Ok((row.try_get("", "event_id")?, row.try_get("", "seq")?))).collect()
    }

    async fn insert(
        &self,
        table: (&str, &[&str]),
        rows: &[&[Value]],
        tail: &str,
    ) -> Result<Vec<QueryResult>, DbErr> {
        let rows_max = self.store.config().rows_max;
        multi::insert(self.db, self.store.dialect(), rows_max, table, rows, tail).await
    }

    async fn run_multi(&self, head: &str, rows: &[&[Value]], tail: &str) -> Result<Vec<QueryResult>, DbErr> {
        let rows_max = self.store.config().rows_max;
        multi::run(self.db, self.store.dialect(), rows_max, head, rows, tail).await
    }
}

/// In the order of [`EVENTS`].
fn event_values(row: &OutboxRow) -> [Value; EVENTS.len()] {
    [
        row.event_id.as_str().into(),
        row.message_type.as_str().into(),
        row.envelope.as_str().into(),
        row.created_at.unix_ms().into(),
    ]
}

impl Key {
    fn pair(&self) -> [Value; 2] {
        [self.owner.into(), self.key.clone().into()]
    }
}

fn ids(rows: &[QueryResult], column: &str) -> Result<HashSet<Uuid>, DbErr> {
    rows.iter().map(|row| row.try_get("", column)).collect()
}
