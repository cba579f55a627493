//! The store itself: open connections and what is asked of the database as a whole.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_contract::Timestamp;
use amends_postgres::Clock;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};

use crate::dialect::{self, Connections, Dialect};
use crate::error::Blame;
use crate::writer::Writer;
use crate::{Access, Config, Error, migration};

/// The orchestrator's database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    clock: Clock,
    config: Config,
}

impl Store {
    /// Opens the database. It waits for a PostgreSQL server that is still starting.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Open`], or [`Error::Locked`] when another orchestrator has the SQLite
    /// file.
    pub async fn connect(config: &Config, access: Access) -> Result<Self, Error> {
        let connections = dialect::open(config, access).await?;
        let clock = Clock::new(Duration::from_millis(config.clock_kept_ms));
        Ok(Self { inner: Arc::new(Inner { connections, clock, config: config.clone() }) })
    }

    /// Brings the tables to this version. Several processes may try at once.
    ///
    /// # Errors
    /// [`Error::Schema`] when the tables are newer than this version; [`Error::Unavailable`].
    pub async fn migrate(&self) -> Result<(), Error> {
        migration::run(self.writer()).await
    }

    /// Whether the tables are there and of this version, without changing anything.
    ///
    /// # Errors
    /// [`Error::Schema`] when they are not; [`Error::Unavailable`].
    pub async fn check_schema(&self) -> Result<(), Error> {
        migration::check(self.reader()).await
    }

    /// The database's clock, as cheaply as it can be had: that of SQLite is this machine's, and PostgreSQL is not asked
    /// each time.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not answer.
    pub async fn clock(&self) -> Result<Timestamp, Error> {
        match self.dialect() {
            Dialect::Sqlite => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
            }
            Dialect::Postgres => self.inner.clock.now(self.now()).await,
        }
    }

    /// What the database says that its clock shows.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not answer.
    pub async fn now(&self) -> Result<Timestamp, Error> {
        let sql = format!("SELECT {} AS now_ms", self.dialect().now_ms());
        let row = self.reader().query_one_raw(self.dialect().statement(sql, [])).await?;
        match row {
            Some(row) => Ok(Timestamp::from_unix_ms(row.try_get("", "now_ms")?)),
            None => unreachable!("a SELECT without FROM gives one row"),
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.now().await.map(|_| ())
    }

    /// Waits for what is under way and closes all connections. The lock of a SQLite file goes with the
    /// last clone of the store.
    pub async fn close(&self) {
        let Connections { writer, hasty, reader, sqlite_writer, .. } = &self.inner.connections;
        if let Some(thread) = sqlite_writer {
            thread.close().await;
        }
        for connection in [reader, hasty, writer] {
            if let Err(error) = connection.close_by_ref().await {
                tracing::warn!(%error, "a database connection did not close");
            }
        }
    }

    /// Whether other processes may write here, too. What SQLite keeps belongs to one.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.dialect() == Dialect::Postgres
    }

    /// How long marks of published events may be gathered before they are given to
    /// [`mark_events_published`](Self::mark_events_published): on SQLite that waits for a commit itself.
    #[must_use]
    pub fn marks_wait(&self) -> Duration {
        let shared_ms = if self.is_shared() { self.config().marks_wait_ms } else { 0 };
        Duration::from_millis(shared_ms)
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.inner.connections.dialect
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    pub(crate) fn reader(&self) -> &DatabaseConnection {
        &self.inner.connections.reader
    }

    pub(crate) fn writer(&self) -> &DatabaseConnection {
        &self.inner.connections.writer
    }

    /// As [`Self::writer`], for what may be lost if a PostgreSQL server dies in the next second.
    pub(crate) fn hasty_writer(&self) -> &DatabaseConnection {
        &self.inner.connections.hasty
    }

    /// The thread that writes sagas; there is one on SQLite only.
    pub(crate) fn sqlite_writer(&self) -> Option<&Writer> {
        self.inner.connections.sqlite_writer.as_ref()
    }

    /// What comes back after a connection broke may be another server, with another clock.
    pub(crate) fn forget_clock(&self) {
        self.inner.clock.forget();
    }

    /// Begins a transaction that writes. Whoever awaits one must neither time out nor `select!`: dropping
    /// it in the middle only queues its rollback.
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, Error> {
        // One more than there are connections: all of them may have died with their server.
        let mut dead_max = self.config().writers_max;
        loop {
            match self.writer().begin_with_options(self.dialect().begin_writing()).await {
                Ok(transaction) => return Ok(transaction),
                // Nothing was begun on it, and the pool opens another.
                Err(error @ DbErr::Query(_)) if dead_max > 0 && Blame::of(&error) == Blame::Connection => {
                    tracing::debug!(%error, "a pooled connection was dead");
                    self.forget_clock();
                    dead_max -= 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("config", &self.inner.config).finish_non_exhaustive()
    }
}
