//! The places of a step's `concurrency`: how its rows change with their saga, and how free ones are given.
//!
//! Whoever gives places of a step locks the step's one row first, and counts only then: two that give at
//! once see each other's work. The rows of sagas are passed over while somebody else has them, so nobody
//! waits in a circle.
//!
//! Invariant: of one step, over all versions of its definition, never more are given than its limit.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{SagaId, StepRef, Token};
use amends_engine::{Place, Saga};
use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait as _, DatabaseTransaction, DbErr, EntityName as _, QueryResult};
use uuid::Uuid;

use crate::commit::by_row;
use crate::dialect::Dialect;
use crate::entity::{place, place_lock};
use crate::{Error, Store, multi};

/// Columns of a row, in the order in which `commit` writes them.
const COLUMNS: [&str; 8] = [
    "saga_id",
    "step_ref",
    "definition_name",
    "definition_version",
    "step",
    "wanted_at_ms",
    "given_at_ms",
    "used",
];

/// How many of a step may be in flight at once, as each version of its definition has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceLimit {
    /// The definition's name.
    pub definition: Token,
    /// The step's name.
    pub step: Token,
    /// By the version of the definition. Sagas of others wait for whoever knows them.
    pub by_version: BTreeMap<u32, u32>,
}

/// Places by the saga and the steps that have them.
pub type Places = BTreeMap<SagaId, BTreeSet<StepRef>>;

/// What a saga's transition does to its rows.
#[derive(Default)]
pub(crate) struct PlaceRows {
    /// Of actions that need no place any more: saga and step.
    pub(crate) left: Vec<[Value; 2]>,
    /// Of those that want or have one.
    pub(crate) current: Vec<Vec<Value>>,
}

impl PlaceRows {
    pub(crate) const fn is_empty(&self) -> bool {
        self.left.is_empty() && self.current.is_empty()
    }

    pub(crate) fn new(saga: &Saga) -> Self {
        let mut rows = Self::default();
        let id = || Value::from(saga.id.uuid());
        for (step, place) in saga.places() {
            let reference = Value::from(step.reference().to_string());
            let at = saga.updated_at.unix_ms();
            let given = match place {
                None => {
                    rows.left.push([id(), reference]);
                    continue;
                }
                Some(Place::Wanted) => None,
                Some(Place::Taken) => Some(at),
            };
            rows.current.push(vec![
                id(),
                reference,
                saga.definition.name.as_str().into(),
                i64::from(saga.definition.version).into(),
                step.name.as_str().into(),
                at.into(),
                given.into(),
                given.is_some().into(),
            ]);
        }
        rows
    }
}

/// Said twice, a place is given once, and used from the first time on that the saga says so.
fn once() -> String {
    let table = place::Entity.table_name();
    format!(
        "ON CONFLICT (saga_id, step_ref) DO UPDATE SET used = excluded.used, \
         given_at_ms = COALESCE({table}.given_at_ms, excluded.given_at_ms) \
         WHERE excluded.used AND NOT {table}.used"
    )
}

/// Writes the rows of a saga that was won, inside of its transaction on SQLite.
pub(crate) fn write_one(db: &rusqlite::Transaction<'_>, rows: &PlaceRows) -> rusqlite::Result<()> {
    let table = place::Entity.table_name();
    for left in &rows.left {
        let sql = format!("DELETE FROM {table} WHERE saga_id = ?1 AND step_ref = ?2");
        by_row::execute(&mut *db.prepare_cached(&sql)?, left)?;
    }
    for current in &rows.current {
        let sql = by_row::insert(table, &COLUMNS, &once());
        by_row::execute(&mut *db.prepare_cached(&sql)?, current)?;
    }
    Ok(())
}

/// Writes the rows of sagas that were won, inside of their transaction.
pub(crate) async fn write(
    db: &DatabaseTransaction,
    dialect: Dialect,
    rows_max: usize,
    rows: &[&PlaceRows],
) -> Result<(), DbErr> {
    let table = place::Entity.table_name();
    let left: Vec<&[Value]> = rows.iter().flat_map(|rows| &rows.left).map(<[Value; 2]>::as_slice).collect();
    let head = format!("DELETE FROM {table} WHERE (saga_id, step_ref) IN (SELECT column1, column2 FROM");
    multi::run(db, dialect, rows_max, &head, &left, ")").await?;
    let current: Vec<&[Value]> = rows.iter().flat_map(|rows| &rows.current).map(Vec::as_slice).collect();
    multi::insert(db, dialect, rows_max, (table, &COLUMNS), &current, &once()).await?;
    Ok(())
}

impl Store {
    /// Whether somebody waits for a place of the step and one may be free.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn may_give_places(&self, limit: &PlaceLimit) -> Result<bool, Error> {
        let table = place::Entity.table_name();
        let of_step = "definition_name = $1 AND step = $2";
        let sql = format!(
            "SELECT (SELECT count(*) FROM {table} WHERE {of_step} AND given_at_ms IS NOT NULL) AS given, \
             (SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {of_step} AND given_at_ms IS NULL LIMIT 1) AS w) \
             AS waiting"
        );
        let names = [Value::from(limit.definition.as_str()), Value::from(limit.step.as_str())];
        let rows = self.reader().query_all_raw(self.dialect().statement(sql, names)).await?;
        let Some(row) = rows.first() else { return Ok(false) };
        let (given, waiting): (i64, i64) = (row.try_get("", "given")?, row.try_get("", "waiting")?);
        let most = limit.by_version.values().max().copied().unwrap_or_default();
        Ok(waiting > 0 && given < i64::from(most))
    }

    /// Gives free places of a step to those who have waited longest, at most `count_max` at once.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::OutcomeUnknown`]: then some may be given; see
    /// [`unused_places`](Self::unused_places).
    pub async fn give_places(&self, limit: &PlaceLimit, count_max: u32) -> Result<Places, Error> {
        let transaction = self.begin().await?;
        match self.give(&transaction, limit, count_max).await {
            Ok(given) => {
                transaction.commit().await.map_err(Error::at_commit)?;
                Ok(given)
            }
            Err(error) => {
                if let Err(problem) = transaction.rollback().await {
                    tracing::debug!(error = %problem, "a rollback failed; the connection is given up");
                }
                Err(error.into())
            }
        }
    }

    async fn give(
        &self,
        db: &DatabaseTransaction,
        limit: &PlaceLimit,
        count_max: u32,
    ) -> Result<Places, DbErr> {
        let (table, locks) = (place::Entity.table_name(), place_lock::Entity.table_name());
        let dialect = self.dialect();
        let names = || [Value::from(limit.definition.as_str()), Value::from(limit.step.as_str())];
        let run =
            async |sql: String, values: Vec<Value>| db.query_all_raw(dialect.statement(sql, values)).await;
        let insert = format!(
            "INSERT INTO {locks} (definition_name, step) VALUES ($1, $2) \
             ON CONFLICT (definition_name, step) DO NOTHING"
        );
        run(insert, names().to_vec()).await?;
        let lock = dialect.lock_rows("l");
        let of_step = "definition_name = $1 AND step = $2";
        run(format!("SELECT l.step FROM {locks} AS l WHERE {of_step} {lock}"), names().to_vec()).await?;

        // A statement of its own: only now it sees what the one before us has given.
        let count =
            format!("SELECT count(*) AS given FROM {table} WHERE {of_step} AND given_at_ms IS NOT NULL");
        let counted = run(count, names().to_vec()).await?;
        let mut given: i64 = counted.first().map_or(Ok(0), |row| row.try_get("", "given"))?;
        // Of versions that have no place left, or that we do not know, not even the oldest is looked at.
        let open = limit.by_version.iter().filter(|(_, most)| given < i64::from(**most));
        let open: Vec<Value> = open.map(|(version, _)| i64::from(*version).into()).collect();
        if open.is_empty() {
            return Ok(Places::new());
        }
        let versions: Vec<String> = (4..4 + open.len()).map(|n| format!("${n}")).collect();
        let versions = versions.join(", ");
        let pass_over = dialect.lock_free_rows("p");
        let waiting = format!(
            "SELECT p.saga_id, p.step_ref, p.definition_version FROM {table} AS p \
             WHERE p.definition_name = $1 AND p.step = $2 AND p.given_at_ms IS NULL \
             AND p.definition_version IN ({versions}) ORDER BY p.wanted_at_ms, p.saga_id, p.step_ref LIMIT $3 {pass_over}"
        );
        let values = names().into_iter().chain([i64::from(count_max).into()]).chain(open).collect();
        let mut chosen: Vec<[Value; 2]> = Vec::new();
        let mut places = Places::new();
        for row in run(waiting, values).await? {
            let version: i64 = row.try_get("", "definition_version")?;
            let most = u32::try_from(version).ok().and_then(|version| limit.by_version.get(&version));
            let Some(most) = most else { continue };
            let Some((saga, step)) = place_of(&row)? else { continue };
            if given < i64::from(*most) {
                given += 1;
                chosen.push([saga.uuid().into(), step.to_string().into()]);
                places.entry(saga).or_default().insert(step);
            }
        }
        let chosen: Vec<&[Value]> = chosen.iter().map(<[Value; 2]>::as_slice).collect();
        let now = dialect.now_ms();
        let head = format!(
            "UPDATE {table} SET given_at_ms = (SELECT {now}) \
             WHERE (saga_id, step_ref) IN (SELECT column1, column2 FROM"
        );
        multi::run(db, dialect, self.config().rows_max, &head, &chosen, ")").await?;
        Ok(places)
    }

    /// Up to `limit` places that were given at least `age_ms` milliseconds ago and that their sagas have not
    /// heard of: whoever gave them died, or lost its input.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn unused_places(&self, age_ms: u64, limit: u32) -> Result<Places, Error> {
        let (table, now) = (place::Entity.table_name(), self.dialect().now_ms());
        let age = i64::try_from(age_ms).unwrap_or(i64::MAX / 2);
        let sql = format!(
            "SELECT saga_id, step_ref FROM {table} \
             WHERE NOT used AND given_at_ms <= (SELECT {now}) - $1 ORDER BY given_at_ms LIMIT $2"
        );
        let values = [age.into(), i64::from(limit).into()];
        let rows = self.reader().query_all_raw(self.dialect().statement(sql, values)).await?;
        let mut places = Places::new();
        for row in rows {
            if let Some((saga, step)) = place_of(&row)? {
                places.entry(saga).or_default().insert(step);
            }
        }
        Ok(places)
    }
}

/// Whose place it is; `None` when the row says nothing that can be.
fn place_of(row: &QueryResult) -> Result<Option<(SagaId, StepRef)>, DbErr> {
    let (saga, step): (Uuid, String) = (row.try_get("", "saga_id")?, row.try_get("", "step_ref")?);
    let place = SagaId::new(saga).ok().zip(step.parse().ok());
    if place.is_none() {
        tracing::error!(%saga, step, "a place of nobody; it is left out");
    }
    Ok(place)
}
