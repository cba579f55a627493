//! What an error of the database asks for: waiting, another try, or a look at the data.
//!
//! Invariant: only a defect is ever blamed on a command; all else leaves every message where it is.

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{Error as SqlxError, sqlite::SqliteError},
};

/// The kinds of failure that are treated differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The database is not there, or has no room: wait, and do it again.
    Unavailable,
    /// Somebody else was in the way (dead-lock, lost serialisation, statement timeout): do it again.
    Contention,
    /// This statement does not work with this data.
    Defect,
}

impl Failure {
    pub(crate) fn of(error: &DbErr) -> Self {
        match error {
            DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => Self::Unavailable,
            DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
                Self::of_sqlx(error)
            }
            DbErr::Exec(RuntimeErr::Internal(_)) | DbErr::Query(RuntimeErr::Internal(_)) => Self::Unavailable,
            _ => Self::Defect,
        }
    }

    pub(super) fn of_sqlx(error: &SqlxError) -> Self {
        match error {
            SqlxError::Io(_)
            | SqlxError::Tls(_)
            | SqlxError::Protocol(_)
            | SqlxError::PoolTimedOut
            | SqlxError::PoolClosed
            | SqlxError::WorkerCrashed
            | SqlxError::BeginFailed => Self::Unavailable,
            SqlxError::Database(database) => {
                let code = database.code().unwrap_or_default();
                if database.try_downcast_ref::<SqliteError>().is_some() {
                    Self::of_sqlite(code.parse().unwrap_or_default())
                } else {
                    Self::of_sqlstate(&code)
                }
            }
            _ => Self::Defect,
        }
    }

    /// <https://www.sqlite.org/rescode.html>: the primary code is the low byte.
    const fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            // LOCKED: by another connection of ours.
            6 => Self::Contention,
            // BUSY: for longer than the busy timeout, by another program; NOMEM, READONLY, INTERRUPT, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB
            5 | 7..=11 | 13..=15 | 26 => Self::Unavailable,
            _ => Self::Defect,
        }
    }

    /// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
    fn of_sqlstate(code: &str) -> Self {
        match code {
            // Lock not available; statement timeout.
            "55P03" | "57014" => Self::Contention,
            // A standby that is not yet, or no longer, the primary.
            "25006" => Self::Unavailable,
            _ => match code.get(..2) {
                // Transaction rollback: dead-lock, serialisation, outcome unknown.
                Some("40") => Self::Contention,
                // Connection, resources, operator intervention, system error, internal error.
                Some("08" | "53" | "57" | "58" | "XX") => Self::Unavailable,
                _ => Self::Defect,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_sqlite_codes() {
        let kinds = [(5, Failure::Unavailable), (261, Failure::Unavailable), (6, Failure::Contention)];
        for (code, kind) in kinds.into_iter().chain([
            (10, Failure::Unavailable),
            (13, Failure::Unavailable),
            (2067, Failure::Defect),
        ]) {
            assert_eq!(Failure::of_sqlite(code), kind, "{code}");
        }
    }

    #[test]
    fn kinds_of_sqlstates() {
        let kinds = [
            ("40P01", Failure::Contention),
            ("40001", Failure::Contention),
            ("57014", Failure::Contention),
            ("57P01", Failure::Unavailable),
            ("53100", Failure::Unavailable),
            ("08006", Failure::Unavailable),
            ("25006", Failure::Unavailable),
            ("23505", Failure::Defect),
            ("22P02", Failure::Defect),
            ("", Failure::Defect),
        ];
        for (code, kind) in kinds {
            assert_eq!(Failure::of_sqlstate(code), kind, "{code}");
        }
    }

    #[test]
    fn a_pool_without_connections_is_unavailable() {
        let timeout = DbErr::ConnectionAcquire(sea_orm::ConnAcquireErr::Timeout);
        assert_eq!(Failure::of(&timeout), Failure::Unavailable);
        assert_eq!(Failure::of(&DbErr::Custom("a bug".to_owned())), Failure::Defect);
    }
}
