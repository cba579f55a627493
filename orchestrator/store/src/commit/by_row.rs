//! A batch on SQLite: row by row, with statements that stay prepared. There is no server to be asked across a line, so
//! one statement for many rows would only cost what it takes to put it together.
//!
//! Invariant: what [`attempt`](super::attempt) does by sets on PostgreSQL is done here for each row, with the same
//! results.

use std::sync::LazyLock;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension as _, Statement, Transaction, params_from_iter};
use sea_orm::sea_query::Value;
use sea_orm::{EntityName as _, IdenStatic as _};
use uuid::Uuid;

use super::CommitResult;
use super::batch::{Batch, CHANGING, Change, EVENTS, FIXED, JOURNAL, KEYS, Key, LABELS, Outcome, Row, names};
use crate::entity::saga::Column;
use crate::entity::{idempotency, journal, outbox, saga, saga_label};
use crate::{OutboxRow, places};

/// The statements, each for one row.
struct Sql {
    take_key: String,
    holder: String,
    give_back: String,
    insert_saga: String,
    /// Where nothing changes that sagas are found by, but for when they are due.
    update_step: String,
    update_saga: String,
    journal: String,
    label: String,
    event: String,
}

static SQL: LazyLock<Sql> = LazyLock::new(|| {
    let (sagas, keys) = (saga::Entity.table_name(), idempotency::Entity.table_name());
    let own_key = r#"owner = ?1 AND "key" = ?2"#;
    let own_saga = "id = ?1 AND version = ?2";
    let bound = CHANGING.iter().zip(3..);
    let set = |column: &Column, place: i32| match column {
        Column::State => format!("state = COALESCE(?{place}, state)"),
        column => format!("{} = ?{place}", column.as_str()),
    };
    let all: Vec<String> = bound.clone().map(|(column, place)| set(column, place)).collect();
    let own = names(&OWN);
    let others = bound.filter(|(column, _)| !matches!(column, Column::State));
    let (own, found_by): (Vec<_>, Vec<_>) = others.partition(|(column, _)| own.contains(&column.as_str()));
    let own: Vec<String> = own.into_iter().map(|(column, place)| set(column, place)).collect();
    let same: Vec<String> =
        found_by.into_iter().map(|(column, place)| format!("{} IS ?{place}", column.as_str())).collect();
    Sql {
        take_key: insert(keys, &names(&KEYS), r#"ON CONFLICT (owner, "key") DO NOTHING"#),
        holder: format!("SELECT saga_id FROM {keys} WHERE {own_key}"),
        give_back: format!("DELETE FROM {keys} WHERE {own_key}"),
        insert_saga: insert(sagas, &names(FIXED.iter().chain(&CHANGING)), "ON CONFLICT (id) DO NOTHING"),
        update_step: format!(
            "UPDATE {sagas} SET {} WHERE {own_saga} AND {}",
            own.join(", "),
            same.join(" AND ")
        ),
        update_saga: format!("UPDATE {sagas} SET {} WHERE {own_saga}", all.join(", ")),
        journal: insert(journal::Entity.table_name(), &names(&JOURNAL), ""),
        label: insert(saga_label::Entity.table_name(), &names(&LABELS), ""),
        event: insert(outbox::Entity.table_name(), &names(&EVENTS), ""),
    }
});

/// Of the columns that each transition writes those that it changes. By the others sagas are found: SQLite takes a row
/// out of each index whose columns an UPDATE names and puts it back, whether they change or not, and from one input to the
/// next they rarely do.
const OWN: [Column; 4] = [Column::Version, Column::UpdatedAtMs, Column::DueAtMs, Column::ClaimedUntilMs];

/// Inserts one row into the table; `tail` may say what to do on a conflict.
pub(crate) fn insert(table: &str, columns: &[&str], tail: &str) -> String {
    let names = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let values = (1..=columns.len()).map(|n| format!("?{n}")).collect::<Vec<_>>().join(", ");
    format!("INSERT INTO {table} ({names}) VALUES ({values}) {tail}")
}

/// Runs the statement with these values; how many rows it changed.
pub(crate) fn execute(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<usize> {
    statement.execute(params_from_iter(values.iter().map(Bound)))
}

/// Writes the batch; the results are in the caller's order.
pub(crate) fn commit(db: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<Vec<Outcome>> {
    let mut outcomes = vec![Outcome::from(CommitResult::Conflict); batch.len];
    let refused = take_keys(db, batch, &mut outcomes)?;
    let mut insert_saga = db.prepare_cached(&SQL.insert_saga)?;
    let mut update_step = db.prepare_cached(&SQL.update_step)?;
    let mut update_saga = db.prepare_cached(&SQL.update_saga)?;
    let mut journal = db.prepare_cached(&SQL.journal)?;
    let mut label = db.prepare_cached(&SQL.label)?;
    let mut event = db.prepare_cached(&SQL.event)?;
    for row in batch.rows.iter().filter(|row| !refused[row.place]) {
        let won = match row.change {
            Change::New => execute(&mut insert_saga, &row.saga)?,
            Change::Step if execute(&mut update_step, &row.saga)? == 1 => 1,
            Change::Step | Change::Whole => execute(&mut update_saga, &row.saga)?,
        };
        if won == 0 {
            give_back_key(db, row)?;
            continue;
        }
        execute(&mut journal, &row.journal)?;
        for values in &row.labels {
            execute(&mut label, values)?;
        }
        let mut seqs = Vec::with_capacity(row.events.len());
        for OutboxRow { event_id, message_type, envelope, created_at, .. } in &row.events {
            event.execute((event_id, message_type, envelope, created_at.unix_ms()))?;
            seqs.push(db.last_insert_rowid());
        }
        places::write_one(db, &row.places)?;
        outcomes[row.place] = Outcome { result: CommitResult::Won, seqs };
    }
    Ok(outcomes)
}

/// Takes the idempotency keys; tells, by place, which rows are refused because theirs is taken.
fn take_keys(db: &Transaction<'_>, batch: &Batch, outcomes: &mut [Outcome]) -> rusqlite::Result<Vec<bool>> {
    let mut refused = vec![false; batch.len];
    let mut keyed: Vec<(&Row, &Key)> =
        batch.rows.iter().filter_map(|row| Some((row, row.key.as_ref()?))).collect();
    // Of one key twice in a batch the caller's first wins.
    keyed.sort_unstable_by_key(|(row, _)| row.place);
    for (row, key) in keyed {
        if execute(&mut *db.prepare_cached(&SQL.take_key)?, &key.row)? == 1 {
            continue;
        }
        let mut holder = db.prepare_cached(&SQL.holder)?;
        let pair = params_from_iter(key.row[..2].iter().map(Bound));
        let holder: Option<Vec<u8>> = holder.query_row(pair, |found| found.get(0)).optional()?;
        // Our own earlier try may hold the key, if its outcome was unknown: then the saga is there.
        let is_ours = holder.and_then(|id| Uuid::from_slice(&id).ok()) == Some(row.id);
        let result = if is_ours { CommitResult::Conflict } else { CommitResult::DuplicateKey };
        outcomes[row.place] = result.into();
        refused[row.place] = true;
    }
    Ok(refused)
}

/// A key goes with its saga or not at all.
fn give_back_key(db: &Transaction<'_>, row: &Row) -> rusqlite::Result<()> {
    if let Some(key) = &row.key {
        execute(&mut *db.prepare_cached(&SQL.give_back)?, &key.row[..2])?;
    }
    Ok(())
}

/// A value as it is bound: borrowed, and as the other connections write it.
struct Bound<'a>(&'a Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self.0 {
            Value::Bool(Some(value)) => ValueRef::Integer(i64::from(*value)),
            Value::BigInt(Some(value)) => ValueRef::Integer(*value),
            Value::String(Some(value)) => ValueRef::Text(value.as_bytes()),
            Value::Uuid(Some(value)) => ValueRef::Blob(value.as_bytes()),
            Value::Bool(None) | Value::BigInt(None) | Value::String(None) | Value::Uuid(None) => {
                ValueRef::Null
            }
            _ => unreachable!("no column of a commit is of another type"),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Config, Store};

    #[tokio::test]
    async fn no_row_makes_sqlite_build_a_table_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let config = Config { url: format!("sqlite://{}", file.display()), ..Config::default() };
        Store::connect(&config, Access::Exclusive).await.unwrap().migrate().await.unwrap();
        let db = rusqlite::Connection::open(file).unwrap();
        let Sql { take_key, holder, give_back, insert_saga, update_step, update_saga, journal, label, event } =
            &*SQL;
        for sql in [take_key, holder, give_back, insert_saga, update_step, update_saga, journal, label, event]
        {
            let mut explain = db.prepare(&format!("EXPLAIN {sql}")).unwrap();
            let steps = explain.raw_query().mapped(|step| step.get("opcode"));
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(steps.iter().any(|step| step == "Transaction"), "{steps:?}");
            assert!(!steps.iter().any(|step| step == "OpenEphemeral"), "{sql}");
        }
    }
}
