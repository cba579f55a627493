//! Reading sagas and journals.
//!
//! Invariant: a row that cannot be read is reported as itself; its neighbours are read all the same.

use std::collections::BTreeSet;

use amends_contract::{SagaId, Timestamp};
use amends_engine::{JournalEntry, Saga, Status};
use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbErr, EntityName as _, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QueryResult, QuerySelect as _, QueryTrait as _,
};

use crate::entity::{journal, saga};
use crate::rebuild::Stored;
use crate::{Error, Store, multi};

/// Sagas, and the moment at which they were read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The database's clock.
    pub now: Timestamp,
    /// Those that are there and can be read, in no order.
    pub sagas: Vec<Saga>,
    /// Those that are there and cannot be read.
    pub unreadable: Vec<Unreadable>,
}

/// A saga whose row, or the journal that it needs, this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("saga {id} cannot be read: {why}")]
pub struct Unreadable {
    /// The saga.
    pub id: SagaId,
    /// What is wrong.
    pub why: String,
}

/// One line of a journal.
#[derive(Clone, Debug)]
pub struct JournalRow {
    /// Its number, from 1.
    pub seq: u64,
    /// What it says, or why this version cannot read it.
    pub entry: Result<JournalEntry, String>,
}

impl Store {
    /// Loads sagas and the database's clock in one statement, and in another the entries that their states lack. Unknown ids
    /// are left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn load(&self, ids: &[SagaId]) -> Result<Loaded, Error> {
        let ids: BTreeSet<&SagaId> = ids.iter().collect();
        let ids: Vec<[Value; 1]> = ids.into_iter().map(|id| [id.uuid().into()]).collect();
        let rows: Vec<&[Value]> = ids.iter().map(<[Value; 1]>::as_slice).collect();
        // A left join, so that the clock comes even if no saga does.
        let now = self.dialect().now_ms();
        let head = format!(
            "SELECT c.now_ms, s.id, s.version, s.state FROM (SELECT {now} AS now_ms) AS c LEFT JOIN ("
        );
        let tail = format!("JOIN {} AS s ON s.id = v.column1) ON 1 = 1", saga::Entity.table_name());
        let rows_max = self.config().rows_max;
        let found = multi::run(self.reader(), self.dialect(), rows_max, &head, &rows, &tail).await?;
        let now = match found.first() {
            Some(row) => Timestamp::from_unix_ms(row.try_get("", "now_ms")?),
            None => self.now().await?,
        };
        Ok(self.loaded(self.reader(), now, &found).await?)
    }

    /// Those of these sagas that have ended.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn ended_of(&self, ids: &[SagaId]) -> Result<Vec<Saga>, Error> {
        let keys: Vec<[Value; 1]> = ids.iter().map(|id| [id.uuid().into()]).collect();
        let rows: Vec<&[Value]> = keys.iter().map(<[Value; 1]>::as_slice).collect();
        let tail = format!("JOIN {} AS s ON s.id = v.column1", saga::Entity.table_name());
        let head = "SELECT s.id, s.status FROM";
        let found =
            multi::run(self.reader(), self.dialect(), self.config().rows_max, head, &rows, &tail).await?;
        // Most go on, and are not needed whole.
        let mut ended = Vec::new();
        for row in found {
            let status = row.try_get::<String>("", "status")?.parse();
            if status.is_ok_and(Status::is_terminal)
                && let Ok(id) = SagaId::new(row.try_get("", "id")?)
            {
                ended.push(id);
            }
        }
        Ok(if ended.is_empty() { Vec::new() } else { self.load(&ended).await?.sagas })
    }

    /// One saga; `None` when there is none with this id.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when its row cannot be read; [`Error::Unavailable`].
    pub async fn saga(&self, id: SagaId) -> Result<Option<Saga>, Error> {
        let mut loaded = self.load(&[id]).await?;
        match loaded.unreadable.pop() {
            Some(row) => Err(Error::Unreadable { table: "saga", row: row.id.to_string(), why: row.why }),
            None => Ok(loaded.sagas.pop()),
        }
    }

    /// Up to `limit` lines of a saga's journal after line `after` (0 for the beginning), in their order.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn journal(&self, id: SagaId, after: u64, limit: u32) -> Result<Vec<JournalRow>, Error> {
        let query = journal::Entity::find()
            .filter(journal::Column::SagaId.eq(id.uuid()))
            .filter(journal::Column::Seq.gt(i64::try_from(after).unwrap_or(i64::MAX)))
            .order_by_asc(journal::Column::Seq)
            .limit(u64::from(limit));
        let statement = query.build(self.reader().get_database_backend());
        let rows = self.reader().query_all_raw(statement).await?;
        rows.iter().map(|row| Ok(journal_row(row)?)).collect()
    }
}

impl Store {
    /// The sagas of rows with `id`, `version` and `state`, as they were at that moment.
    pub(crate) async fn loaded(
        &self,
        db: &impl ConnectionTrait,
        now: Timestamp,
        rows: &[QueryResult],
    ) -> Result<Loaded, DbErr> {
        let mut loaded = Loaded { now, sagas: Vec::with_capacity(rows.len()), unreadable: Vec::new() };
        for saga in self.rebuild(db, rows.iter().filter_map(Stored::of_row).collect()).await? {
            match saga {
                Ok(saga) => loaded.sagas.push(saga),
                Err(unreadable) => loaded.unreadable.push(unreadable),
            }
        }
        Ok(loaded)
    }
}

pub(crate) fn journal_row(row: &QueryResult) -> Result<JournalRow, DbErr> {
    let seq: i64 = row.try_get("", "seq")?;
    let entry = row
        .try_get::<String>("", "entry")
        .map_err(|error| error.to_string())
        .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
    Ok(JournalRow { seq: u64::try_from(seq).unwrap_or_default(), entry })
}
