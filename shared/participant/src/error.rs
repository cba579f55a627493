//! Why a participant cannot start.

use thiserror::Error as ThisError;

/// A participant cannot start, or cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The program is wired wrongly; the text says where.
    #[error("participant: {0}")]
    Wiring(String),
    /// The database URL is of no kind that we know.
    #[error("database URL: it must begin with sqlite: or postgres:, found {0:?}")]
    UnknownDatabase(String),
    /// A database that ends with the process cannot remember effects.
    #[error("database URL: a participant's database must outlive its process; name a file")]
    InMemory,
    /// Another process works on the same SQLite file.
    #[error(
        "{0} is in use by another process: a SQLite database belongs to one process at a time; \
         stop the other one, or use PostgreSQL to run several"
    )]
    InUse(String),
    /// The file system refused.
    #[error("{path}: {why}")]
    File {
        /// Which file or folder.
        path: String,
        /// What the system says.
        why: String,
    },
    /// The database refused.
    #[error("database: {0}")]
    Database(#[from] sea_orm::DbErr),
}
