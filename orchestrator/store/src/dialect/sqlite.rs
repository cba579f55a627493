//! Opening SQLite: one connection that writes, beside it the thread that writes sagas, a pool that only reads, a
//! lock against a second orchestrator.
//!
//! Invariant: a commit that was reported is on the disk (WAL with `synchronous=FULL`).

use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use sea_orm::SqlxSqliteConnector;
use sea_orm::sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Error as SqlxError};
use tokio::time::sleep;

use super::{Connections, Dialect, Held, STATEMENTS_KEPT};
use crate::lock::LockFile;
use crate::writer::{Opening, Writer};
use crate::{Access, Config, Error};

/// The write-ahead log is cut back to this size after a burst, in bytes (64 MiB).
const WAL_BYTES_KEPT: &str = "67108864";

/// So many pages in the write-ahead log (16 MiB) are worked into the file at once: a page that is written again until
/// then is worked in once.
const CHECKPOINT_PAGES: u32 = 4_000;

/// Page cache of the thread that writes sagas, in KiB: what a full batch changes fits in, so that no page is written
/// twice in one transaction.
const WRITER_CACHE_KIB: u32 = 8_192;

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
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(keep(connection)));
    let patience = Duration::from_millis(config.connect_timeout_ms);
    let writer = connect_when_free(&pool.clone().max_connections(1), &writing, patience).await;
    let writer = writer.map_err(|error| failed(error.to_string()))?;
    let reader = pool.max_connections(config.readers_max.max(1)).connect_lazy_with(reading);
    let query_only = if access == Access::ReadOnly { "ON" } else { "OFF" };
    let opening = Opening {
        file: path.clone(),
        patience: Duration::from_millis(config.busy_timeout_ms),
        marks_wait: Duration::from_millis(config.marks_wait_ms),
        pragmas: format!(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA query_only = {query_only}; \
             PRAGMA journal_size_limit = {WAL_BYTES_KEPT}; PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}; \
             PRAGMA cache_size = -{WRITER_CACHE_KIB};"
        ),
    };
    let sqlite_writer = Some(Writer::new(opening, writer.clone()));
    let writer = SqlxSqliteConnector::from_sqlx_sqlite_pool(writer);
    Ok(Connections {
        dialect: Dialect::Sqlite,
        sqlite_writer,
        hasty: writer.clone(),
        writer,
        reader: SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
        _held: lock,
    })
}

/// Waits for a file that another program holds.
async fn connect_when_free(
    pool: &SqlitePoolOptions,
    options: &SqliteConnectOptions,
    patience: Duration,
) -> Result<SqlitePool, SqlxError> {
    let by = Instant::now() + patience;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if is_held(&error) && Instant::now() < by => {
                tracing::warn!(%error, "another program holds the database; it is tried again");
                sleep(HELD_PAUSE).await;
            }
            answer => return answer,
        }
    }
}

/// Pause before a file that was held is tried again.
const HELD_PAUSE: Duration = Duration::from_millis(200);

/// BUSY or LOCKED: <https://www.sqlite.org/rescode.html>, the primary code is the low byte.
fn is_held(error: &SqlxError) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| matches!(code & 0xff, 5 | 6))
}

/// Whether a connection may be used again: not while its driver counts transactions that are open.
///
/// SQLite ends a transaction by itself when the disk is full. The driver's rollback then fails, and it goes on
/// counting: later transactions would be savepoints of nothing, and what they commit would not be committed.
async fn keep(connection: &mut SqliteConnection) -> Result<bool, SqlxError> {
    if connection.is_in_transaction() {
        // What was dropped is rolled back behind our back; the ping waits for it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

fn create_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::create_dir_all(folder),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

    use super::*;

    #[tokio::test]
    async fn what_is_committed_after_sqlite_ended_a_transaction_by_itself_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let Connections { writer, reader, .. } =
            open(&Config { url, ..Config::default() }, Access::Shared).await.unwrap();
        writer.execute_unprepared("CREATE TABLE effect (id INTEGER)").await.unwrap();
        let broken = writer.begin().await.unwrap();
        // As SQLite does it when the disk is full.
        broken.execute_unprepared("ROLLBACK").await.unwrap();
        assert!(broken.rollback().await.is_err());
        writer.begin().await.unwrap().rollback().await.unwrap();
        let good = writer.begin().await.unwrap();
        good.execute_unprepared("INSERT INTO effect VALUES (1)").await.unwrap();
        good.commit().await.unwrap();
        let count = Dialect::Sqlite.statement("SELECT count(*) AS count FROM effect".to_owned(), []);
        let seen = reader.query_one_raw(count).await.unwrap().unwrap();
        assert_eq!(seen.try_get::<i64>("", "count").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_file_that_another_program_holds_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sea_orm::sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        let url = format!("sqlite://{}", file.display());
        let hurried = Config { url, busy_timeout_ms: 1, connect_timeout_ms: 1, ..Config::default() };
        let error = open(&hurried, Access::Shared).await.map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("locked"), "{error}");
        let patient = Config { connect_timeout_ms: 3_600_000, ..hurried };
        let opening = tokio::spawn(async move { open(&patient, Access::Shared).await.map(|_| ()) });
        sea_orm::sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        opening.await.unwrap().unwrap();
    }
}
