//! Many rows in one statement, for the SDK's own tables and for those of bulk handlers.
//!
//! Rows are a `VALUES` list whose columns are `column1`, `column2`, ... on both databases. It is filled up
//! with NULL rows to the next power of two, so that few different statements exist and each is prepared
//! once per connection. Invariant: a row whose first column is NULL is passed over.

use sea_orm::{ConnectionTrait, DbErr, Statement, sea_query::Value};

use crate::database::dialect;

/// Most rows of one statement: a power of two, and at twelve columns far below what both databases take.
pub const COUNT_MAX: usize = 256;

/// `ids` filled up with the last of them to the next power of two, for an `IN` whose statement stays prepared.
pub fn padded(ids: &[String]) -> impl Iterator<Item = String> {
    let fill = ids.last().cloned().into_iter().cycle();
    ids.iter().cloned().chain(fill).take(ids.len().next_power_of_two().min(ids.len() * 2))
}

/// Inserts rows, all of one width, into `columns` of `table` where nothing is in their way; answers how many. The
/// first column must not be NULL.
///
/// # Errors
/// What the database says.
pub async fn insert(
    db: &impl ConnectionTrait,
    table: &str,
    columns: &[&str],
    rows: Vec<Vec<Value>>,
) -> Result<u64, DbErr> {
    let names = columns.join(", ");
    let values = (1..=columns.len()).map(|n| format!("v.column{n}")).collect::<Vec<_>>().join(", ");
    let head = format!("INSERT INTO {table} ({names}) SELECT {values}");
    // SQLite needs the WHERE also to tell ON CONFLICT from a join's ON.
    run(db, &head, rows, "WHERE v.column1 IS NOT NULL ON CONFLICT DO NOTHING").await
}

/// Runs `<head> FROM (VALUES ...) AS v <tail>` over rows of one width; answers how many rows were touched. The tail
/// must pass over rows whose first column is NULL, as a join on it does.
///
/// # Errors
/// What the database says.
pub async fn update(
    db: &impl ConnectionTrait,
    head: &str,
    rows: Vec<Vec<Value>>,
    tail: &str,
) -> Result<u64, DbErr> {
    run(db, head, rows, tail).await
}

async fn run(db: &impl ConnectionTrait, head: &str, rows: Vec<Vec<Value>>, tail: &str) -> Result<u64, DbErr> {
    let Some(width) = rows.first().map(Vec::len) else {
        return Ok(0);
    };
    let backend = db.get_database_backend();
    // Typed, because PostgreSQL takes a parameter's type from what is bound.
    let filler: Vec<Value> = rows[0].iter().map(Value::as_null).collect();
    let mut count = 0;
    let mut rows = rows.into_iter();
    while rows.len() > 0 {
        let taken = rows.len().min(COUNT_MAX);
        let padded = taken.next_power_of_two();
        let mut values: Vec<Value> = Vec::with_capacity(padded * width);
        values.extend(rows.by_ref().take(taken).flatten());
        values.extend(std::iter::repeat_n(filler.iter().cloned(), padded - taken).flatten());
        let placeholders = dialect::placeholders(backend, padded, width);
        let sql = format!("{head} FROM (VALUES {placeholders}) AS v {tail}");
        count += db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await?.rows_affected();
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_filled_up_to_a_power_of_two() {
        let ids = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let filled = |text: &str| padded(&ids(text)).collect::<Vec<_>>().join(" ");
        assert_eq!(filled(""), "");
        assert_eq!(filled("a"), "a");
        assert_eq!(filled("a b"), "a b");
        assert_eq!(filled("a b c"), "a b c c");
        assert_eq!(filled("a b c d e"), "a b c d e e e e");
    }
}
