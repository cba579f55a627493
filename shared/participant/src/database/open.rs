//! Opening the database with the settings that the SDK's promises rest on.
//!
//! Invariant: on SQLite an answered commit is on the disk (`WAL`, `synchronous=FULL`); a database that is not up yet
//! ends no process, one that will never be does so at once.

use std::{
    fs::{File, TryLockError},
    path::Path,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use amends_postgres::{Clock, Relay};
use sea_orm::{
    ConnectOptions, Database as SeaOrm, DatabaseConnection, DbErr, RuntimeErr,
    sqlx::{
        Connection as _, Error as SqlxError,
        postgres::{PgConnectOptions, PgConnection},
        sqlite::{SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::time::{Instant, sleep, timeout};

use super::{Database, Failure, Held};
use crate::{Error, config::Pools};

/// How many prepared statements a connection keeps: all of ours and of a service, with room to spare.
const STATEMENT_CACHE: usize = 256;

pub(super) async fn open(url: &str, pools: &Pools) -> Result<Database, Error> {
    if url.starts_with("sqlite:") {
        open_sqlite(url, pools).await
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        let (connection, relay) = open_postgres(url, pools).await?;
        let held = Held { lock: None, relay };
        Ok(Database {
            writer: connection.clone(),
            reader: connection,
            patience: patience(pools),
            clock: clock(pools),
            _held: held,
        })
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
    let held = Held { lock: Some(Arc::new(lock)), relay: None };
    Ok(Database { writer, reader, patience: patience(pools), clock: clock(pools), _held: held })
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
        })
        .map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| Box::pin(is_reusable(connection)))
        });
    connect_when_up(pools, || SeaOrm::connect(options.clone())).await
}

/// Whether a connection may be used again: not while its driver counts transactions that are open.
///
/// SQLite ends a transaction by itself when the disk is full. The driver's rollback then fails, and it goes on
/// counting; later transactions would be savepoints, and one that is rolled back would leave all behind it
/// uncommitted although they say otherwise. A new connection counts from zero.
///
/// For a pool's `after_release`; [`Database::connect`](super::Database::connect) sees to it by itself.
///
/// # Errors
/// When the connection is broken.
pub async fn is_reusable(connection: &mut SqliteConnection) -> Result<bool, SqlxError> {
    if connection.is_in_transaction() {
        // What was dropped is rolled back behind our back; the ping waits for it.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

async fn open_postgres(url: &str, pools: &Pools) -> Result<(DatabaseConnection, Option<Arc<Relay>>), Error> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Error::Database(failed(error)))?;
    let patience = Duration::from_millis(pools.acquire_timeout_ms);
    // Directly first: a server that cannot be reached, or does not want us, is told apart best so.
    connect_when_up(pools, || reach(options.clone(), patience)).await?;
    let statement_timeout = Duration::from_millis(pools.statement_timeout_ms);
    let (options, relay) = Relay::through(options, statement_timeout);
    let socket = options.get_socket().cloned();
    let mut options = quiet(url, pools);
    options
        .max_connections(pools.readers_max.saturating_add(pools.writers_max).max(1))
        .min_connections(1)
        .statement_timeout(Duration::from_millis(pools.statement_timeout_ms))
        // A ping before each use would double the round trips; one after a pause finds what a restarted
        // server left behind.
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .map_sqlx_postgres_opts(move |options| {
            let options = options.statement_cache_capacity(STATEMENT_CACHE);
            socket.iter().fold(options, |options, folder| options.socket(folder))
        });
    let connection = connect_when_up(pools, || SeaOrm::connect(options.clone())).await?;
    Ok((connection, relay.map(Arc::new)))
}

/// Connects once and hangs up.
async fn reach(options: PgConnectOptions, patience: Duration) -> Result<(), DbErr> {
    let connecting = timeout(patience, PgConnection::connect_with(&options)).await;
    let connection = connecting.unwrap_or(Err(SqlxError::PoolTimedOut)).map_err(failed)?;
    connection.close().await.map_err(failed)
}

fn failed(error: SqlxError) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))
}

/// Waits for a database that is starting, too, or that somebody holds.
async fn connect_when_up<T, F: Future<Output = Result<T, DbErr>>>(
    pools: &Pools,
    connect: impl Fn() -> F,
) -> Result<T, Error> {
    let by = Instant::now() + patience(pools);
    loop {
        match connect().await {
            Err(error) if may_come_up(&error) && Instant::now() < by => {
                tracing::warn!(%error, "the database is not up yet; it is tried again");
                sleep(NOT_UP_PAUSE).await;
            }
            answer => return Ok(answer?),
        }
    }
}

const fn patience(pools: &Pools) -> Duration {
    Duration::from_millis(pools.connect_timeout_ms)
}

fn clock(pools: &Pools) -> Arc<Clock> {
    Arc::new(Clock::new(Duration::from_millis(pools.clock_kept_ms)))
}

/// Pause before a database that was not up is tried again.
const NOT_UP_PAUSE: Duration = Duration::from_millis(200);

/// Whether the same may work later: not with a wrong password, nor with a folder that does not exist.
fn may_come_up(error: &DbErr) -> bool {
    let (DbErr::Conn(RuntimeErr::SqlxError(error)) | DbErr::Exec(RuntimeErr::SqlxError(error))) = error
    else {
        return matches!(error, DbErr::ConnectionAcquire(_));
    };
    let SqlxError::Database(database) = error.as_ref() else {
        return Failure::of_sqlx(error) == Failure::Unavailable;
    };
    match database.try_downcast_ref::<SqliteError>() {
        // BUSY and LOCKED; the rest needs somebody to do something.
        Some(_) => database
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6)),
        None => Failure::of_sqlx(error) != Failure::Defect,
    }
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

#[cfg(test)]
mod tests {
    use sea_orm::{ConnectionTrait as _, TransactionTrait as _};

    use super::*;

    /// Found by the nemesis, seed 1: after a full disk an inventory answered for ten seconds what it had not
    /// committed.
    #[tokio::test]
    async fn what_is_committed_after_sqlite_ended_a_transaction_by_itself_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let database = open(&url, &Pools::default()).await.unwrap();
        let db = &database.writer;
        db.execute_unprepared("CREATE TABLE effect (id INTEGER)").await.unwrap();
        let broken = db.begin().await.unwrap();
        // As SQLite does it when the disk is full.
        broken.execute_unprepared("ROLLBACK").await.unwrap();
        assert!(broken.rollback().await.is_err());
        db.begin().await.unwrap().rollback().await.unwrap();
        let good = db.begin().await.unwrap();
        good.execute_unprepared("INSERT INTO effect VALUES (1)").await.unwrap();
        good.commit().await.unwrap();
        let seen = database.reader.query_one_raw(sea_orm::Statement::from_string(
            sea_orm::DbBackend::Sqlite,
            "SELECT count(*) AS count FROM effect",
        ));
        assert_eq!(seen.await.unwrap().unwrap().try_get::<i64>("", "count").unwrap(), 1);
    }

    #[tokio::test]
    async fn a_database_that_is_not_up_yet_is_waited_for_and_one_that_is_wrong_is_not() {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("postgres://127.0.0.1:{}/x", listener.local_addr().unwrap().port());
        // So does a balancer while the server behind it is away.
        let hanging_up = async {
            for _ in 0..3 {
                drop(listener.accept().await.unwrap());
            }
        };
        let pools = Pools { connect_timeout_ms: 3_600_000, ..Pools::default() };
        tokio::select! {
            () = hanging_up => {}
            answer = open(&url, &pools) => panic!("it was not tried again: {:?}", answer.err()),
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text.db");
        std::fs::write(&file, "this is no database, but a text of some length ".repeat(99)).unwrap();
        let error = open(&format!("sqlite://{}", file.display()), &pools).await.unwrap_err();
        assert!(error.to_string().contains("not a database"), "{error}");
    }

    #[tokio::test]
    async fn a_sqlite_file_that_another_program_holds_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true);
        let mut other = SqliteConnection::connect_with(&options).await.unwrap();
        sea_orm::sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        let url = format!("sqlite://{}", file.display());
        let hurried = Pools { busy_timeout_ms: 1, connect_timeout_ms: 1, ..Pools::default() };
        let error = open(&url, &hurried).await.unwrap_err();
        assert!(error.to_string().contains("locked"), "{error}");
        let patient = Pools { connect_timeout_ms: 3_600_000, ..hurried };
        let opening = tokio::spawn(async move { open(&url, &patient).await });
        sea_orm::sqlx::query("COMMIT").execute(&mut other).await.unwrap();
        opening.await.unwrap().unwrap();
    }
}
