//! Every difference between SQLite and PostgreSQL that is not in how they are opened.
//!
//! Invariant: no other file of the SDK asks which of the two it talks to.

use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

use amends_contract::Timestamp;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};

/// The database's clock: on SQLite this process's, which is the only one that writes.
pub(crate) async fn now(db: &impl ConnectionTrait) -> Result<Timestamp, DbErr> {
    let backend = db.get_database_backend();
    if backend == DbBackend::Sqlite {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        return Ok(Timestamp::from_unix_ms(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)));
    }
    let sql = "SELECT (extract(epoch from clock_timestamp()) * 1000)::bigint";
    let row = db.query_one_raw(Statement::from_string(backend, sql)).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the clock".to_owned()))?;
    Ok(Timestamp::from_unix_ms(row.try_get_by_index(0)?))
}

/// Whether several processes may work on this database, so that rows have to be locked and what a dead
/// process left behind cannot be told from what a living one works on.
pub(crate) fn is_shared(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() != DbBackend::Sqlite
}

/// `(?,?),(?,?)` or `($1,$2),($3,$4)`. SQLite looks a named parameter up by walking through all of them,
/// which for hundreds of them costs more than the statement.
pub(crate) fn placeholders(backend: DbBackend, rows: usize, width: usize) -> String {
    let mut text = String::with_capacity(rows * (width * 6 + 3));
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..width {
            if column > 0 {
                text.push(',');
            }
            if backend == DbBackend::Sqlite {
                text.push('?');
            } else {
                let _ = write!(text, "${}", row * width + column + 1);
            }
        }
        text.push(')');
    }
    text
}

/// On a column of ids: compares bytes, so that ranges and orders are the same everywhere.
pub(crate) fn byte_order(backend: DbBackend) -> &'static str {
    if backend == DbBackend::Sqlite { "COLLATE BINARY" } else { "COLLATE \"C\"" }
}
