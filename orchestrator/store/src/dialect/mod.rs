//! Every difference between SQLite and PostgreSQL, but for the commit of sagas, which each does in its own way.
//!
//! Statements elsewhere are written once; what differs is asked for here.

mod postgres;
mod sqlite;

use std::fmt::Write as _;

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseConnection, DbBackend, SqliteTransactionMode, Statement, TransactionOptions};

use crate::lock::LockFile;
use crate::writer::Writer;
use crate::{Access, Config, Error};
use amends_postgres::Relay;

/// Prepared statements kept per connection: some ten kinds of batch statements in the powers of two up to
/// 256 rows, the commits' with and without keys, labels and events, and the small ones.
const STATEMENTS_KEPT: usize = 128;

/// Which database it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

/// Open connections.
pub(crate) struct Connections {
    pub(crate) dialect: Dialect,
    /// For writing; on SQLite a pool of exactly one.
    pub(crate) writer: DatabaseConnection,
    /// For writing what may be lost if the server dies in the next second: PostgreSQL does not wait for its disk.
    pub(crate) hasty: DatabaseConnection,
    /// For reading.
    pub(crate) reader: DatabaseConnection,
    /// Writes sagas on SQLite; it takes the writing connection for as long as it writes.
    pub(crate) sqlite_writer: Option<Writer>,
    /// Held as long as the connections are.
    pub(crate) _held: Held,
}

/// What a database needs beside its connections; it is let go with them.
pub(crate) enum Held {
    /// SQLite, unless access is shared.
    Lock(#[expect(dead_code, reason = "held, not read")] LockFile),
    /// PostgreSQL over TCP.
    Relay(#[expect(dead_code, reason = "held, not read")] Relay),
    /// The others.
    Nothing,
}

/// Opens the database that the URL names.
pub(crate) async fn open(config: &Config, access: Access) -> Result<Connections, Error> {
    if config.url.starts_with("sqlite:") {
        sqlite::open(config, access).await
    } else if config.url.starts_with("postgres:") || config.url.starts_with("postgresql:") {
        postgres::open(config, access).await
    } else {
        let shown = crate::config::without_password(&config.url);
        let why = format!("{shown:?} is no URL of a database; sqlite://<path> or postgres://... is expected");
        Err(Error::Config { why })
    }
}

impl Dialect {
    /// The database's clock in unix milliseconds, as an SQL expression. Take it through a subquery
    /// (`(SELECT ..)`), so that it is read once and an index can be used.
    pub(crate) const fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
            Self::Postgres => "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
        }
    }

    /// Ends a SELECT whose rows of `table` are to be locked in the order it gives. Two transactions that
    /// lock the same rows in different orders would deadlock.
    pub(crate) const fn lock_rows(self, table: &'static str) -> LockClause {
        LockClause { dialect: self, table, skip_locked: false }
    }

    /// The same, passing over rows that somebody else has locked.
    pub(crate) const fn lock_free_rows(self, table: &'static str) -> LockClause {
        LockClause { dialect: self, table, skip_locked: true }
    }

    /// Whether rows are locked by who looks at them, so that the transaction has to go on until they are changed.
    pub(crate) const fn locks_rows(self) -> bool {
        matches!(self, Self::Postgres)
    }

    /// How a transaction that writes begins. A deferred one of SQLite fails at once when it turns to
    /// writing while another writes, whatever the busy timeout says.
    pub(crate) const fn begin_writing(self) -> TransactionOptions {
        TransactionOptions {
            isolation_level: None,
            access_mode: None,
            sqlite_transaction_mode: match self {
                Self::Sqlite => Some(SqliteTransactionMode::Immediate),
                Self::Postgres => None,
            },
        }
    }

    /// Rows of one width as the table `v` with the columns `column1`, `column2`, ..; gives its SQL and its
    /// parameters. A statement must pass over rows whose first column is NULL: with those the list is
    /// filled up to a power of two. So few different statements exist, and each stays prepared.
    pub(crate) fn rows(self, rows: &[&[Value]]) -> (String, Vec<Value>) {
        let width = rows.first().map_or(0, |row| row.len());
        let padded = rows.len().next_power_of_two();
        let mut parameters = Vec::with_capacity(padded * width);
        for row in rows {
            parameters.extend_from_slice(row);
        }
        // Typed NULLs, because PostgreSQL takes a parameter's type from what is bound.
        let filler: Vec<Value> = rows.first().into_iter().copied().flatten().map(Value::as_null).collect();
        for _ in rows.len()..padded {
            parameters.extend_from_slice(&filler);
        }
        (format!("(VALUES {}) AS v", self.placeholders(padded, width)), parameters)
    }

    /// `(?,?),(?,?)` or `($1,$2),($3,$4)`. SQLite looks a parameter with a number up by walking through all
    /// of them, which for thousands of them costs more than the statement.
    fn placeholders(self, rows: usize, width: usize) -> String {
        let mut text = String::with_capacity(rows * (width * 6 + 3));
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ",(" });
            for column in 0..width {
                if column > 0 {
                    text.push(',');
                }
                match self {
                    Self::Sqlite => text.push('?'),
                    Self::Postgres => {
                        let _ = write!(text, "${}", row * width + column + 1);
                    }
                }
            }
            text.push(')');
        }
        text
    }

    /// Most rows of this width that [`rows`](Self::rows) can put into one statement; a power of two.
    pub(crate) const fn rows_max(self, width: usize) -> usize {
        let parameters_max = match self {
            Self::Sqlite => 32_766,   // SQLITE_MAX_VARIABLE_NUMBER
            Self::Postgres => 65_535, // the protocol counts them in 16 bits
        };
        let width = if width == 0 { 1 } else { width };
        if width > parameters_max { 1 } else { 1 << (parameters_max / width).ilog2() }
    }

    /// A statement with its values.
    pub(crate) fn statement(self, sql: String, values: impl IntoIterator<Item = Value>) -> Statement {
        let backend = match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        };
        Statement::from_sql_and_values(backend, sql, values)
    }
}

/// See [`Dialect::lock_rows`]. SQLite has one writer and nothing to lock.
pub(crate) struct LockClause {
    dialect: Dialect,
    table: &'static str,
    skip_locked: bool,
}

impl std::fmt::Display for LockClause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.dialect, self.skip_locked) {
            (Dialect::Sqlite, _) => Ok(()),
            (Dialect::Postgres, false) => write!(f, "FOR UPDATE OF {}", self.table),
            (Dialect::Postgres, true) => write!(f, "FOR UPDATE OF {} SKIP LOCKED", self.table),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Dialect; 2] = [Dialect::Sqlite, Dialect::Postgres];

    #[test]
    fn a_statement_never_has_more_parameters_than_the_database_takes() {
        for (dialect, parameters_max) in BOTH.into_iter().zip([32_766, 65_535]) {
            for width in [1, 3, 19, 64, 32_767] {
                let rows = dialect.rows_max(width);
                assert!(rows.is_power_of_two());
                assert!(rows * width <= parameters_max || rows == 1);
                assert!(rows * 2 * width > parameters_max);
            }
        }
    }

    #[test]
    fn rows_are_filled_up_with_typed_nulls() {
        let rows = [[Value::from(1_i64), Value::from("a")], [Value::from(2_i64), Value::from("b")]];
        let rows: Vec<&[Value]> = [&rows[0], &rows[1], &rows[0]].map(<[Value; 2]>::as_slice).to_vec();
        for (dialect, expected) in
            BOTH.into_iter().zip(["(?,?),(?,?),(?,?),(?,?)", "($1,$2),($3,$4),($5,$6),($7,$8)"])
        {
            let (sql, parameters) = dialect.rows(&rows);
            assert_eq!(sql, format!("(VALUES {expected}) AS v"));
            assert_eq!(parameters[..4], [rows[0], rows[1]].concat());
            assert_eq!(parameters[6..], [Value::BigInt(None), Value::String(None)]);
        }
    }
}
