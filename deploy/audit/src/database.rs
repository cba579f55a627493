//! Opening the databases of others, so that nothing can be written.
//!
//! Invariant: SQLite files are opened read-only and never made; PostgreSQL refuses whatever writes.

use std::str::FromStr as _;
use std::time::Duration;

use amends_contract::Timestamp;
use sea_orm::sqlx::ConnectOptions as _;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DbBackend, DbErr, SqlxPostgresConnector, SqlxSqliteConnector,
    Statement,
};

use crate::Error;

/// One reads the books, one takes a snapshot of the stock meanwhile.
const CONNECTIONS_MAX: u32 = 2;

/// Longest wait for a connection, and for SQLite's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest statement on PostgreSQL: pages are small; what takes longer waits for a lock.
const STATEMENT_TIMEOUT: (&str, &str) = ("statement_timeout", "60000");

pub(crate) async fn maybe(
    source_name: &'static str,
    url: Option<&str>,
) -> Result<Option<DatabaseConnection>, Error> {
    match url {
        Some(url) => Ok(Some(open(source_name, url).await?)),
        None => Ok(None),
    }
}

/// Opens somebody's database so that nothing can be written.
///
/// # Errors
/// [`Error::Config`] for a URL or a file that cannot be; [`Error::Unavailable`] for who does not answer.
pub async fn open(source_name: &'static str, url: &str) -> Result<DatabaseConnection, Error> {
    if url.starts_with("sqlite:") {
        open_sqlite(source_name, url).await
    } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
        open_postgres(source_name, url).await
    } else {
        let why = "its database URL is neither sqlite:// nor postgres://".to_owned();
        Err(Error::Config { source_name, why })
    }
}

async fn open_sqlite(source_name: &'static str, url: &str) -> Result<DatabaseConnection, Error> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|error| Error::Config { source_name, why: error.to_string() })?;
    let path = options.get_filename().to_owned();
    if !path.is_file() {
        let why = format!(
            "there is no database at {}; name the right place, or leave {source_name} out",
            path.display()
        );
        return Err(Error::Config { source_name, why });
    }
    let options = options.read_only(true).busy_timeout(PATIENCE).disable_statement_logging();
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(PATIENCE);
    let pool = pool.connect_with(options).await.map_err(|error| unavailable(source_name, &error))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

async fn open_postgres(source_name: &'static str, url: &str) -> Result<DatabaseConnection, Error> {
    let options = PgConnectOptions::from_str(url)
        // The URL may hold a password: sqlx does not repeat it.
        .map_err(|error| Error::Config { source_name, why: error.to_string() })?
        .application_name("amends audit")
        .options([("default_transaction_read_only", "on"), STATEMENT_TIMEOUT])
        .disable_statement_logging();
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS_MAX).acquire_timeout(PATIENCE);
    let pool = pool.connect_with(options).await.map_err(|error| unavailable(source_name, &error))?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

fn unavailable(source_name: &str, error: &sea_orm::sqlx::Error) -> Error {
    Error::Unavailable { source_name: source_name.to_owned(), why: error.to_string() }
}

/// The database's own clock: what is due is due by that.
///
/// # Errors
/// When the database does not answer.
pub async fn now(db: &DatabaseConnection) -> Result<Timestamp, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::Sqlite => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now_ms",
        _ => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS now_ms",
    };
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let row = row.ok_or_else(|| DbErr::Custom("the clock gave no row".to_owned()))?;
    Ok(Timestamp::from_unix_ms(row.try_get("", "now_ms")?))
}
