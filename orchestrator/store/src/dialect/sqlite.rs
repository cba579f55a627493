//! Opening SQLite: one connection that writes, a pool that only reads, a lock against a second
//! orchestrator.
//!
//! Invariant: a commit that was reported is on the disk (WAL with `synchronous=FULL`).

use std::path::Path;
use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::SqlxSqliteConnector;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::{Connections, Dialect, Held, STATEMENTS_KEPT};
use crate::lock::LockFile;
use crate::{Access, Config, Error};

/// The write-ahead log is cut back to this size after a burst, in bytes (64 MiB).
const WAL_BYTES_KEPT: &str = "67108864";

pub(super) async fn open(config: &Config, access: Access) -> Result<Connections, Error> {
    let options = SqliteConnectOptions::from_str(&config.url)
        .map_err(|error| Error::Config { why: format!("{:?}: {error}", config.url) })?;
    let path = options.get_filename().to_owned();
    if config.url.contains(":memory:") || config.url.contains("mode=memory") {
        let why = format!("{:?}: sagas must outlive the process; name a file", config.url);
        return Err(Error::Config { why });
    }
    let failed = |why: String| Error::Open { place: path.display().to_string(), why };
    if access != Access::ReadOnly {
        create_folder(&path).map_err(|error| failed(error.to_string()))?;
    }
    let lock = match access {
        Access::Exclusive => Held::Lock(LockFile::acquire(&path)?),
        Access::Shared | Access::ReadOnly => Held::Nothing,
    };
    let options = options
        .create_if_missing(access != Access::ReadOnly)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .busy_timeout(Duration::from_millis(config.busy_timeout_ms))
        .pragma("journal_size_limit", WAL_BYTES_KEPT)
        .disable_statement_logging();
    let reading = options.clone().create_if_missing(false).pragma("query_only", "ON");

    let writing = if access == Access::ReadOnly { reading.clone() } else { options };
    // Connections are kept for ever: a file does not hang up, and they carry the page cache.
    let pool = SqlitePoolOptions::new()
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    let writer = pool
        .clone()
        .max_connections(1)
        .connect_with(writing)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let reader = pool.max_connections(config.readers_max.max(1)).connect_lazy_with(reading);
    Ok(Connections {
        dialect: Dialect::Sqlite,
        writer: SqlxSqliteConnector::from_sqlx_sqlite_pool(writer),
        reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
        _held: lock,
    })
}

fn create_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}
