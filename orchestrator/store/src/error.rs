//! What can go wrong, sorted by what the caller has to do about it.
//!
//! Invariant: an error counts as poison only if one row's data is to blame; the fault of a database must
//! never set sagas aside.

use std::io::ErrorKind as ErrorKindOfIo;
use std::path::PathBuf;

use amends_contract::DefinitionRef;
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("database: {why}")]
    Config {
        /// What, and what would be right.
        why: String,
    },
    /// The database cannot be opened at all.
    #[error("database {place} cannot be opened: {why}")]
    Open {
        /// File or server, without password.
        place: String,
        /// Why.
        why: String,
    },
    /// Another process runs as the orchestrator on this SQLite file.
    #[error(
        "{} is in use by another orchestrator (process {holder}): SQLite belongs to one; stop it, or use \
         PostgreSQL for several",
        database.display()
    )]
    Locked {
        /// The database.
        database: PathBuf,
        /// Its process id, if known.
        holder: String,
    },
    /// The tables are missing or of another version.
    #[error("the database's tables do not fit this version: {why}; run `amends migrate`")]
    Schema {
        /// What the database says.
        why: String,
    },
    /// Nothing was done; the database cannot be reached, is full, or is too busy. Worth trying again.
    #[error("the database is unavailable: {0}")]
    Unavailable(#[source] DbErr),
    /// The connection broke while committing: it may be committed or not. Load the sagas again.
    #[error("the outcome of a commit is unknown: {0}")]
    OutcomeUnknown(#[source] DbErr),
    /// Nothing was done, because of the data of one of the rows; the other rows of the batch are fine.
    #[error("the database refuses the data: {why}")]
    Poison {
        /// What is wrong with it.
        why: String,
    },
    /// Nothing was done; a statement failed in a way that we did not foresee.
    #[error("the database refuses a statement: {0}")]
    Failed(#[source] DbErr),
    /// A row holds what this version cannot read.
    #[error("{table} {row} cannot be read: {why}")]
    Unreadable {
        /// Its table.
        table: &'static str,
        /// Its key.
        row: String,
        /// What is wrong with it.
        why: String,
    },
    /// A definition was changed although its version is already in use.
    #[error(
        "{definition} is already stored with another {part}; running sagas are pinned to it, so give the \
         changed definition a new version"
    )]
    DefinitionChanged {
        /// Name and version.
        definition: DefinitionRef,
        /// `source`, or the schema file that differs.
        part: String,
        /// What is stored; empty when the part is new.
        stored: String,
        /// What was given; empty when the part is gone.
        given: String,
    },
    /// An API key of that name or prefix is not there.
    #[error("there is no API key {0:?}")]
    NoSuchKey(String),
}

/// The kind of an [`Error`], to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// See [`Error::Config`].
    Config,
    /// See [`Error::Open`].
    Open,
    /// See [`Error::Locked`].
    Locked,
    /// See [`Error::Schema`].
    Schema,
    /// See [`Error::Unavailable`].
    Unavailable,
    /// See [`Error::OutcomeUnknown`].
    OutcomeUnknown,
    /// See [`Error::Poison`].
    Poison,
    /// See [`Error::Failed`].
    Failed,
    /// See [`Error::Unreadable`].
    Unreadable,
    /// See [`Error::DefinitionChanged`].
    DefinitionChanged,
    /// See [`Error::NoSuchKey`].
    NoSuchKey,
}

impl Error {
    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Config { .. } => ErrorKind::Config,
            Self::Open { .. } => ErrorKind::Open,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::Schema { .. } => ErrorKind::Schema,
            Self::Unavailable(_) => ErrorKind::Unavailable,
            Self::OutcomeUnknown(_) => ErrorKind::OutcomeUnknown,
            Self::Poison { .. } => ErrorKind::Poison,
            Self::Failed(_) => ErrorKind::Failed,
            Self::Unreadable { .. } => ErrorKind::Unreadable,
            Self::DefinitionChanged { .. } => ErrorKind::DefinitionChanged,
            Self::NoSuchKey(_) => ErrorKind::NoSuchKey,
        }
    }

    /// Whether one row of the batch is to blame, so that halving the batch finds it.
    #[must_use]
    pub const fn is_poison(&self) -> bool {
        matches!(self, Self::Poison { .. })
    }

    /// Whether the commit may have happened all the same.
    #[must_use]
    pub const fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown(_))
    }
}

impl From<DbErr> for Error {
    /// For whatever is not a COMMIT: nothing was done.
    fn from(error: DbErr) -> Self {
        Blame::of(&error).undone(error)
    }
}

impl Error {
    /// For a failed COMMIT.
    pub(crate) fn at_commit(error: DbErr) -> Self {
        Blame::of(&error).at_commit(error)
    }

    /// For a failed statement that was a transaction by itself: undone is what the server itself refuses, unless it
    /// hangs up, and what was never sent.
    pub(crate) fn at_once(error: DbErr) -> Self {
        let blame = Blame::of(&error);
        let is_refused = match (&error, sqlx(&error)) {
            // No connection was to be had.
            (DbErr::Conn(_) | DbErr::ConnectionAcquire(_), _) => true,
            (_, Some(SqlxError::Database(_))) => blame != Blame::Connection,
            _ => blame == Blame::Data,
        };
        if is_refused { blame.undone(error) } else { Self::OutcomeUnknown(error) }
    }
}

fn sqlx(error: &DbErr) -> Option<&SqlxError> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

/// Whether the connection had been closed when the statement was to be written to it, so that the server has not heard
/// its end.
pub(crate) fn never_left(error: &DbErr) -> bool {
    matches!(sqlx(error), Some(SqlxError::Io(error)) if error.kind() == ErrorKindOfIo::BrokenPipe)
}

/// Who is to blame for a failed statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The way to the database.
    Connection,
    /// The database: stopping, out of something.
    Busy,
    /// There is no room for what SQLite was to write down; of a commit its last page is missing, and it is undone.
    Full,
    /// Another transaction: trying again at once is right, and nothing of this try remains.
    Contention,
    /// The values we gave.
    Data,
    /// The tables.
    Schema,
    /// We do not know.
    Unforeseen,
}

impl Blame {
    /// The error where nothing was done.
    pub(crate) fn undone(self, error: DbErr) -> Error {
        match self {
            Self::Connection | Self::Busy | Self::Full | Self::Contention => Error::Unavailable(error),
            Self::Data => Error::Poison { why: error.to_string() },
            Self::Schema => Error::Schema { why: error.to_string() },
            Self::Unforeseen => Error::Failed(error),
        }
    }

    /// The error of a COMMIT: only what the database itself calls undone is surely undone.
    pub(crate) fn at_commit(self, error: DbErr) -> Error {
        match self {
            Self::Contention | Self::Data | Self::Full => self.undone(error),
            Self::Connection | Self::Busy | Self::Schema | Self::Unforeseen => Error::OutcomeUnknown(error),
        }
    }

    pub(crate) fn of(error: &DbErr) -> Self {
        let Some(sqlx) = sqlx(error) else {
            return match error {
                DbErr::ConnectionAcquire(ConnAcquireErr::Timeout | ConnAcquireErr::ConnectionClosed)
                | DbErr::Conn(_) => Self::Connection,
                _ => Self::Unforeseen,
            };
        };
        match sqlx {
            SqlxError::Database(error) => {
                let code = error.code().unwrap_or_default();
                if error.try_downcast_ref::<sea_orm::SqlxSqliteError>().is_some() {
                    code.parse().map_or(Self::Unforeseen, |code| Self::of_sqlite(code, error.message()))
                } else {
                    Self::of_sqlstate(&code)
                }
            }
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
            | SqlxError::BeginFailed => Self::Connection,
            SqlxError::Encode(_) | SqlxError::InvalidArgument(_) => Self::Data,
            _ => Self::Unforeseen,
        }
    }

    pub(crate) fn of_rusqlite(error: &rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::SqliteFailure(code, message) => {
                Self::of_sqlite(code.extended_code, message.as_deref().unwrap_or_default())
            }
            rusqlite::Error::SqlInputError { error, msg, .. } => Self::of_sqlite(error.extended_code, msg),
            rusqlite::Error::ToSqlConversionFailure(_) => Self::Data,
            _ => Self::Unforeseen,
        }
    }

    /// PostgreSQL's SQLSTATE: <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn of_sqlstate(code: &str) -> Self {
        match (code, code.get(..2).unwrap_or_default()) {
            // "Statement completion unknown" stands in the class of what was surely rolled back.
            ("40003", _) => Self::Connection,
            (_, "40") => Self::Contention,
            ("42P01" | "42703" | "3F000", _) => Self::Schema,
            // Data exception, integrity constraint, program limit such as an index row's size.
            (_, "22" | "23" | "54") => Self::Data,
            // The last three: the server stops, crashed, or is not up yet, and hangs up.
            (_, "08") | ("57P01" | "57P02" | "57P03", _) => Self::Connection,
            // Insufficient resources, operator intervention, system error, read-only server.
            (_, "53" | "57" | "58") | ("25006" | "55P03", _) => Self::Busy,
            _ => Self::Unforeseen,
        }
    }

    /// SQLite's result codes: <https://www.sqlite.org/rescode.html>
    fn of_sqlite(code: i32, message: &str) -> Self {
        // The low byte is the primary code.
        match code & 0xff {
            // ERROR, SCHEMA
            1 | 17 if message.contains("no such table") || message.contains("no such column") => Self::Schema,
            // BUSY, LOCKED (after the busy timeout), NOMEM, READONLY, INTERRUPT, IOERR, CANTOPEN, PROTOCOL
            5..=10 | 14 | 15 => Self::Busy,
            13 => Self::Full,
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE
            18 | 19 | 20 | 25 => Self::Data,
            _ => Self::Unforeseen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_is_poison() {
        let blame =
            ["22021", "23505", "54000", "40P01", "40001", "57014", "53100", "08006", "42P01", "42601"]
                .map(Blame::of_sqlstate);
        assert_eq!(
            blame,
            [
                Blame::Data,
                Blame::Data,
                Blame::Data,
                Blame::Contention,
                Blame::Contention,
                Blame::Busy,
                Blame::Busy,
                Blame::Connection,
                Blame::Schema,
                Blame::Unforeseen,
            ]
        );
        // CONSTRAINT_PRIMARYKEY, FULL, IOERR_WRITE, BUSY_SNAPSHOT, a missing table, a typing error
        let sqlite = [(1555, ""), (13, ""), (778, ""), (517, ""), (1, "no such table: x"), (1, "")]
            .map(|(code, message)| Blame::of_sqlite(code, message));
        assert_eq!(
            sqlite,
            [Blame::Data, Blame::Full, Blame::Busy, Blame::Busy, Blame::Schema, Blame::Unforeseen,]
        );
    }

    #[test]
    fn a_commit_that_broke_off_is_unknown_and_a_refused_one_is_not() {
        let broken = DbErr::Query(RuntimeErr::SqlxError(std::sync::Arc::new(SqlxError::Io(
            std::io::ErrorKind::ConnectionReset.into(),
        ))));
        assert_eq!(Error::from(broken.clone()).kind(), ErrorKind::Unavailable);
        assert_eq!(Error::at_commit(broken.clone()).kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(Error::at_once(broken).kind(), ErrorKind::OutcomeUnknown);
        let unreachable = RuntimeErr::SqlxError(std::sync::Arc::new(SqlxError::Io(
            std::io::ErrorKind::UnexpectedEof.into(),
        )));
        for never_sent in [DbErr::ConnectionAcquire(ConnAcquireErr::Timeout), DbErr::Conn(unreachable)] {
            assert_eq!(Error::at_once(never_sent).kind(), ErrorKind::Unavailable);
        }
    }
}
