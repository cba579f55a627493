//! Opening the database with the settings that the SDK's promises rest on.
//!
//! Invariant: on SQLite an answered commit is on the disk (`WAL`, `synchronous=FULL`).

use std::{
    fs::{File, TryLockError},
    path::Path,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use sea_orm::{
    ConnectOptions, Database as SeaOrm, DatabaseConnection,
    sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::Database;
use crate::{Error, config::Pools};

/// How many prepared statements a connection keeps: all of ours and of a service, with room to spare.
const STATEMENT_CACHE: usize = 256;

pub(super) async fn open(url: &str, pools: &Pools) -> Result<Database, Error> {
    if url.starts_with("sqlite:") {
        open_sqlite(url, pools).await
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let connection = open_postgres(url, pools).await?;
        Ok(Database { writer: connection.clone(), reader: connection, _lock: None })
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Error::UnknownDatabase(scheme.chars().take(40).collect()))
    }
}

async fn open_sqlite(url: &str, pools: &Pools) -> Result<Database, Error> {
    let invalid = |error: sea_orm::sqlx::Error| Error::UnknownDatabase(error.to_string());
    if url.contains(":memory:") || url.contains("mode=memory") {
        return Err(Error::InMemory);
    }
    let options = SqliteConnectOptions::from_str(url).map_err(invalid)?;
    let lock = lock_file(options.get_filename())?;
    let writer = sqlite_pool(url, pools, 1, false).await?;
    let reader = sqlite_pool(url, pools, pools.readers_max.max(1), true).await?;
    Ok(Database { writer, reader, _lock: Some(Arc::new(lock)) })
}

/// Refuses a second process. The lock is on a file of its own: SQLite's belong to SQLite.
fn lock_file(database: &Path) -> Result<File, Error> {
    let file_error = |path: &Path, why: std::io::Error| Error::File {
        path: path.display().to_string(),
        why: why.to_string(),
    };
    if let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).map_err(|error| file_error(folder, error))?;
    }
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = Path::new(&path);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(|error| file_error(path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(database.display().to_string())),
        Err(TryLockError::Error(error)) => Err(file_error(path, error)),
    }
}

async fn sqlite_pool(
    url: &str,
    pools: &Pools,
    connections: u32,
    read_only: bool,
) -> Result<DatabaseConnection, Error> {
    let busy_timeout = Duration::from_millis(pools.busy_timeout_ms);
    let mut options = quiet(url, pools);
    options
        .max_connections(connections)
        .min_connections(1)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(busy_timeout)
                .foreign_keys(true)
                .statement_cache_capacity(STATEMENT_CACHE);
            if read_only { options.pragma("query_only", "1") } else { options }
        });
    Ok(SeaOrm::connect(options).await?)
}

async fn open_postgres(url: &str, pools: &Pools) -> Result<DatabaseConnection, Error> {
    let mut options = quiet(url, pools);
    options
        .max_connections(pools.readers_max.saturating_add(pools.writers_max).max(1))
        .min_connections(1)
        .statement_timeout(Duration::from_millis(pools.statement_timeout_ms))
        // A ping before each use would double the round trips; one after a pause finds what a restarted
        // server left behind.
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .map_sqlx_postgres_opts(|options| options.statement_cache_capacity(STATEMENT_CACHE));
    Ok(SeaOrm::connect(options).await?)
}

fn quiet(url: &str, pools: &Pools) -> ConnectOptions {
    let acquire_timeout = Duration::from_millis(pools.acquire_timeout_ms);
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(acquire_timeout)
        .connect_timeout(acquire_timeout)
        .sqlx_logging(false)
        .record_stmt_in_spans(false);
    options
}
