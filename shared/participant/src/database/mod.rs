//! The participant's own database: one writer and a pool of readers, over SQLite or PostgreSQL.
//!
//! Invariant: whoever writes begins with [`Database::begin`]. On SQLite that takes the write lock at once
//! (a transaction that upgrades later fails at once, whatever the busy timeout), and one process owns
//! the file.

pub(crate) mod dialect;
mod failure;
mod open;

use std::{fs::File, sync::Arc, time::Duration};

use amends_contract::Timestamp;
use amends_postgres::{Clock, Relay};
use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

pub(crate) use failure::Failure;
pub use open::is_reusable;

use crate::{Error, config::Pools};

/// Whether the error says that the database is away, or has no room, for the moment: the same may work
/// later.
#[must_use]
pub fn is_unavailable(error: &DbErr) -> bool {
    Failure::of(error) != Failure::Defect
}

/// A connection to the participant's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    writer: DatabaseConnection,
    reader: DatabaseConnection,
    /// For how long a database that went away is waited for at the start.
    patience: Duration,
    /// What its clock shows, where asking costs something.
    clock: Arc<Clock>,
    _held: Held,
}

/// What is held as long as the database is.
#[derive(Clone, Debug)]
struct Held {
    /// A second process on the same SQLite file is refused.
    #[expect(dead_code, reason = "held, not looked at")]
    lock: Option<Arc<File>>,
    /// The way to a PostgreSQL server over TCP.
    #[expect(dead_code, reason = "held, not looked at")]
    relay: Option<Arc<Relay>>,
}

impl Database {
    /// Connects to `sqlite:<file>` (created where missing) or `postgres://...`.
    ///
    /// # Errors
    /// [`Error`], when the database cannot be reached, or a SQLite file belongs to another process.
    pub async fn connect(url: &str, pools: &Pools) -> Result<Self, Error> {
        open::open(url, pools).await
    }

    /// For reading only; on SQLite it refuses to write.
    #[must_use]
    pub const fn reader(&self) -> &DatabaseConnection {
        &self.reader
    }

    /// Begins a transaction that writes. Never drop its future half-way (`select!`, a timeout): its
    /// rollback would only be queued.
    ///
    /// # Errors
    /// When no connection is to be had.
    pub async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let begun = self
            .writer
            .begin_with_options(TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            })
            .await;
        if begun.is_err() {
            self.forget_clock();
        }
        begun
    }

    /// The database's clock.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn now(&self) -> Result<Timestamp, DbErr> {
        dialect::now(&self.reader).await
    }

    /// The database's clock, as a transaction needs it that has begun: PostgreSQL's is carried on for a while.
    pub(crate) async fn clock(&self, tx: &DatabaseTransaction) -> Result<Timestamp, DbErr> {
        if dialect::is_shared(tx) { self.clock.now(dialect::now(tx)).await } else { dialect::now(tx).await }
    }

    /// What comes back after a connection broke may be another server, with another clock.
    pub(crate) fn forget_clock(&self) {
        self.clock.forget();
    }

    /// Whether it answers; for `/readyz`.
    ///
    /// # Errors
    /// Why not.
    pub async fn ping(&self) -> Result<(), DbErr> {
        self.reader.ping().await
    }

    /// Closes all connections; whoever still waits for one gets an error.
    pub async fn close(self) {
        for connection in [self.writer, self.reader] {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "closing the database");
            }
        }
    }

    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    pub(crate) const fn writer(&self) -> &DatabaseConnection {
        &self.writer
    }
}
