//! Many rows in one statement, on every database the table `v` with columns `column1`, `column2`, ..

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::dialect::Dialect;

/// Runs `<head> <rows as v> <tail>` over all rows, at most `rows_max` at a time; returns what the
/// statements return. All rows are of one width; the statement must pass over those whose first column is
/// NULL.
pub(crate) async fn run(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    rows_max: usize,
    head: &str,
    rows: &[&[Value]],
    tail: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let width = rows.first().map_or(0, |row| row.len());
    let mut returned = Vec::new();
    for chunk in rows.chunks(rows_max.clamp(1, dialect.rows_max(width))) {
        let (table, parameters) = dialect.rows(chunk);
        let sql = format!("{head} {table} {tail}");
        returned.extend(db.query_all_raw(dialect.statement(sql, parameters)).await?);
    }
    Ok(returned)
}

/// Inserts rows into `table (columns)`; `tail` may say what to do on a conflict, and return something.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    rows_max: usize,
    (table, columns): (&str, &[&str]),
    rows: &[&[Value]],
    tail: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let names = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let selected = (1..=columns.len()).map(|n| format!("column{n}")).collect::<Vec<_>>().join(", ");
    let head = format!("INSERT INTO {table} ({names}) SELECT {selected} FROM");
    // SQLite needs the WHERE also to tell ON CONFLICT from a join's ON.
    let tail = format!("WHERE column1 IS NOT NULL {tail}");
    run(db, dialect, rows_max, &head, rows, &tail).await
}
