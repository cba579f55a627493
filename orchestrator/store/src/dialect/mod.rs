//! Every difference between SQLite and PostgreSQL.
//!
//! Statements elsewhere are written once; what differs is asked for here.

mod postgres;
mod sqlite;

use std::fmt::Write as _;

use sea_orm::sea_query::Value;
use sea_orm::{DatabaseConnection, DbBackend, SqliteTransactionMode, Statement, TransactionOptions};

use crate::lock::LockFile;
use crate::{Access, Config, Error};

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
    /// For reading; on PostgreSQL the same pool.
    pub(crate) reader: DatabaseConnection,
    /// Held as long as the connections are; never read.
    pub(crate) _lock: Option<LockFile>,
}

/// Opens the database that the URL names.
pub(crate) async fn open(config: &Config, access: Access) -> Result<Connections, Error> {
    if config.url.starts_with("sqlite:") {
        sqlite::open(config, access).await
    } else if config.url.starts_with("postgres:") || config.url.starts_with("postgresql:") {
        postgres::open(config).await
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

    /// `(?,?),(?,?)` or `($1,$2),($3,$4)`. SQLite looks a named parameter up by walking through all of
    /// them, which for thousands of them costs more than the statement.
    pub(crate) fn placeholders(self, rows: usize, width: usize) -> String {
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
                        let number = row * width + column + 1;
                        let _ = write!(text, "${number}");
                    }
                }
            }
            text.push(')');
        }
        text
    }

    /// Most parameters of one statement.
    pub(crate) const fn parameters_max(self) -> usize {
        match self {
            Self::Sqlite => 32_766,   // SQLITE_MAX_VARIABLE_NUMBER
            Self::Postgres => 65_535, // the protocol counts them in 16 bits
        }
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
