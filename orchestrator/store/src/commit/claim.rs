//! Timers: taking the sagas whose time has come, and those whose outage is over, so that no two processes
//! work on one at once.
//!
//! Invariant: a claim is a lease in a column of its own. It changes neither version nor journal, so losing
//! it costs time and nothing else; a commit ends it.

use amends_contract::{Digest, Timestamp, Token};
use amends_engine::Saga;
use sea_orm::sea_query::Value;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityName as _, EntityTrait as _, QueryFilter as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::saga;
use crate::read::Loaded;
use crate::{Error, Store};

/// Whose outage holds sagas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage<'a> {
    /// The broker refuses us, or our own replies lie unread.
    Broker,
    /// A participant's.
    Participant(&'a Token),
}

impl Store {
    /// Claims up to `limit` sagas whose `due_at` has passed and that nobody has claimed, the longest due
    /// first, for `lease_ms` milliseconds. Sagas of the definitions in `except` are left to others: a
    /// claimer who cannot decide them would only keep them from those who can.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn claim_due(&self, limit: u32, lease_ms: u64, except: &[Digest]) -> Result<Loaded, Error> {
        let table = saga::Entity.table_name();
        let now = self.dialect().now_ms();
        let lock = self.dialect().lock_free_rows("s");
        let lease = i64::try_from(lease_ms).unwrap_or(i64::MAX / 2);
        let others = match except.len() {
            0 => String::new(),
            count => {
                let digests: Vec<String> = (3..3 + count).map(|n| format!("${n}")).collect();
                format!("AND s.digest NOT IN ({})", digests.join(", "))
            }
        };
        let sql = format!(
            "WITH due AS (SELECT s.id AS saga_id FROM {table} AS s \
             WHERE s.due_at_ms <= (SELECT {now}) \
             AND (s.claimed_until_ms IS NULL OR s.claimed_until_ms <= (SELECT {now})) {others} \
             ORDER BY s.due_at_ms LIMIT $1 {lock}) \
             UPDATE {table} SET claimed_until_ms = (SELECT {now}) + $2 FROM due \
             WHERE {table}.id = due.saga_id RETURNING id, version, state, claimed_until_ms - $2 AS now_ms"
        );
        let values = [i64::from(limit).into(), lease.into()]
            .into_iter()
            .chain(except.iter().map(|digest| digest.to_string().into()));
        self.claimed(sql, values).await
    }

    /// In how many milliseconds the next saga is due, claimed or not; not positive when one is. `None`: there is
    /// none that will be.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn due_in_ms(&self) -> Result<Option<i64>, Error> {
        let (table, now) = (saga::Entity.table_name(), self.dialect().now_ms());
        let sql = format!(
            "SELECT s.due_at_ms - (SELECT {now}) AS due_in_ms FROM {table} AS s \
             WHERE s.due_at_ms IS NOT NULL ORDER BY s.due_at_ms LIMIT 1"
        );
        let row = self.reader().query_one_raw(self.dialect().statement(sql, [])).await?;
        row.map(|row| Ok(row.try_get("", "due_in_ms")?)).transpose()
    }

    /// Whether an outage holds any saga at all.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn is_any_held(&self) -> Result<bool, Error> {
        let held = saga::Entity::find()
            .select_only()
            .column(saga::Column::Id)
            .filter(saga::Column::HeldBy.is_not_null())
            .limit(1)
            .into_tuple::<Uuid>()
            .one(self.reader())
            .await?;
        Ok(held.is_some())
    }

    /// Claims up to `limit` sagas that an outage holds and that nobody has claimed, the longest due first, for
    /// `lease_ms` milliseconds.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn claim_held(&self, outage: Outage<'_>, limit: u32, lease_ms: u64) -> Result<Loaded, Error> {
        let table = saga::Entity.table_name();
        let now = self.dialect().now_ms();
        let lock = self.dialect().lock_free_rows("s");
        let lease = i64::try_from(lease_ms).unwrap_or(i64::MAX / 2);
        let sql = format!(
            "WITH held AS (SELECT s.id AS saga_id FROM {table} AS s WHERE s.held_by = $3 \
             AND (s.claimed_until_ms IS NULL OR s.claimed_until_ms <= (SELECT {now})) \
             ORDER BY s.due_at_ms LIMIT $1 {lock}) \
             UPDATE {table} SET claimed_until_ms = (SELECT {now}) + $2 FROM held \
             WHERE {table}.id = held.saga_id RETURNING id, version, state, claimed_until_ms - $2 AS now_ms"
        );
        self.claimed(sql, [i64::from(limit).into(), lease.into(), outage.key().into()]).await
    }

    /// Whose outages hold sagas at the moment: the broker's, and participants by their names.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn outages(&self, of: &[Token]) -> Result<Vec<Option<Token>>, Error> {
        let mut found = Vec::new();
        let all = std::iter::once(None).chain(of.iter().map(Some));
        for participant in all {
            let outage = participant.map_or(Outage::Broker, Outage::Participant);
            let held = saga::Entity::find()
                .select_only()
                .column(saga::Column::Id)
                .filter(saga::Column::HeldBy.eq(outage.key()))
                .limit(1)
                .into_tuple::<Uuid>()
                .one(self.reader())
                .await?;
            if held.is_some() {
                found.push(participant.cloned());
            }
        }
        Ok(found)
    }

    async fn claimed(&self, sql: String, values: impl IntoIterator<Item = Value>) -> Result<Loaded, Error> {
        let rows = self.writer().query_all_raw(self.dialect().statement(sql, values)).await?;
        let now = match rows.first() {
            Some(row) => Timestamp::from_unix_ms(row.try_get("", "now_ms")?),
            None => self.now().await?,
        };
        // Not by the readers: what has been claimed must not wait behind others for a connection.
        Ok(self.loaded(self.writer(), now, &rows).await?)
    }
}

impl<'a> Outage<'a> {
    /// Of a saga that is held.
    pub(crate) fn of(saga: &'a Saga) -> Option<Self> {
        saga.held_by().map(|participant| participant.map_or(Self::Broker, Self::Participant))
    }

    /// As its column has it; no participant has such a name as the broker's.
    pub(crate) fn key(&self) -> &'a str {
        match self {
            Self::Broker => "@broker",
            Self::Participant(name) => name.as_str(),
        }
    }
}
