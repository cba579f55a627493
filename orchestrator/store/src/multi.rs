//! Many rows in one statement.
//!
//! The rows are a `VALUES` list named `v` whose columns are `column1`, `column2`, ... on every database.
//! Lists are filled up with NULL rows to the next power of two: so few different statements exist, and each
//! is prepared once per connection. A statement must pass over rows whose first column is NULL.

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::dialect::Dialect;

/// Runs `<head> (VALUES ..) AS v <tail>` over all rows, at most `rows_max` (a power of two) at a time;
/// returns what the statements return. All rows are of one width.
pub(crate) async fn run(
    db: &impl ConnectionTrait,
    dialect: Dialect,
    rows_max: usize,
    head: &str,
    rows: &[&[Value]],
    tail: &str,
) -> Result<Vec<QueryResult>, DbErr> {
    let Some(width) = rows.first().map(|row| row.len()) else {
        return Ok(Vec::new());
    };
    let mut returned = Vec::new();
    for chunk in rows.chunks(chunk_rows(dialect, rows_max, width)) {
        let padded = chunk.len().next_power_of_two();
        let values = dialect.placeholders(padded, width);
        let sql = format!("{head} (VALUES {values}) AS v {tail}");
        let parameters = parameters(chunk, padded);
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

/// The largest power of two of rows that fits both limits.
fn chunk_rows(dialect: Dialect, rows_max: usize, width: usize) -> usize {
    let fitting = (dialect.parameters_max() / width.max(1)).max(1);
    let power = if fitting.is_power_of_two() { fitting } else { fitting.next_power_of_two() / 2 };
    power.min(rows_max).max(1)
}

fn parameters(chunk: &[&[Value]], padded: usize) -> Vec<Value> {
    let mut values: Vec<Value> = chunk.iter().flat_map(|row| row.iter().cloned()).collect();
    if let Some(first) = chunk.first() {
        // Typed, because PostgreSQL takes a parameter's type from what is bound.
        let filler: Vec<Value> = first.iter().map(Value::as_null).collect();
        values.extend(std::iter::repeat_n(filler, padded - chunk.len()).flatten());
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_never_has_more_parameters_than_the_database_takes() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            for width in [1, 3, 19, 64, 40_000] {
                let rows = chunk_rows(dialect, 4_096, width);
                assert!(rows.is_power_of_two() && rows <= 4_096);
                assert!(rows == 1 || rows * width <= dialect.parameters_max());
            }
        }
    }

    #[test]
    fn rows_are_filled_up_with_typed_nulls() {
        let rows = [[Value::from(1_i64), Value::from("a")], [Value::from(2_i64), Value::from("b")]];
        let rows: Vec<&[Value]> = [&rows[0], &rows[1], &rows[0]].map(<[Value; 2]>::as_slice).to_vec();
        let values = parameters(&rows, 4);
        assert_eq!(values.len(), 8);
        assert_eq!(values[6..], [Value::BigInt(None), Value::String(None)]);
        assert_eq!(Dialect::Sqlite.placeholders(2, 2), "(?,?),(?,?)");
        assert_eq!(Dialect::Postgres.placeholders(2, 2), "($1,$2),($3,$4)");
    }
}
