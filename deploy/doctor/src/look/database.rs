//! Asks a database about itself.
//!
//! Invariant: it is opened read-only; SQLite files are never made.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use amends_store::{Access, Store};
use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, QueryResult, Statement};
use tokio::time::timeout;

use super::disk;
use crate::deployment::Deployment;
use crate::facts::{DatabaseFacts, Kind, Postgres, Seen, Sqlite};

/// What is asked of PostgreSQL.
const SETTINGS: &str = "SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', \
     'full_page_writes', 'wal_level', 'synchronous_standby_names', 'max_connections', \
     'superuser_reserved_connections', 'data_directory', 'data_checksums', 'idle_in_transaction_session_timeout', \
     'archive_mode', 'default_transaction_isolation', 'listen_addresses', 'ssl')";

/// How the tables are judged.
pub(super) enum Schema<'a> {
    /// By the store itself.
    Orchestrator(&'a Deployment),
    /// By the names of the steps that they have to have taken.
    Names(&'a [String]),
}

/// What a database says of itself.
pub(super) async fn facts(
    owner: &'static str,
    url: &str,
    schema: Schema<'_>,
    patience: Duration,
) -> Seen<DatabaseFacts> {
    // Beyond the auditor's own patience nothing answers any more.
    let look = timeout(patience * 4, Box::pin(look(owner, url, schema)));
    look.await.unwrap_or_else(|_| Err(format!("no answer within {} s", (patience * 4).as_secs())))
}

async fn look(owner: &'static str, url: &str, schema: Schema<'_>) -> Seen<DatabaseFacts> {
    let db = amends_audit::open_read_only(owner, url).await.map_err(|error| error.to_string())?;
    let failed = |error: DbErr| error.to_string();
    let (kind, ahead_ms) = match db.get_database_backend() {
        DbBackend::Sqlite => (Kind::Sqlite(sqlite(&db, url).await.map_err(failed)?), None),
        _ => {
            let asked = now_ms();
            let theirs = amends_audit::database_clock(&db).await.map_err(failed)?.unix_ms();
            let ahead_ms = theirs - asked.midpoint(now_ms());
            (Kind::Postgres(Box::new(postgres(&db, url).await.map_err(failed)?)), Some(ahead_ms))
        }
    };
    let schema = match schema {
        Schema::Orchestrator(deployment) => of_orchestrator(deployment).await,
        Schema::Names(names) => of_participant(&db, names).await,
    };
    let _ = db.close().await;
    Ok(DatabaseFacts { kind, ahead_ms, schema })
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

async fn of_orchestrator(deployment: &Deployment) -> Result<(), String> {
    let Some(config) = &deployment.orchestrator else { return Ok(()) };
    let told = |error: amends_store::Error| error.to_string();
    let store = Store::connect(&config.database, Access::ReadOnly).await.map_err(told)?;
    let checked = store.check_schema().await.map_err(told);
    store.close().await;
    checked
}

async fn of_participant(db: &DatabaseConnection, names: &[String]) -> Result<(), String> {
    let rows = ask(db, "SELECT version AS name FROM seaql_migrations").await;
    let rows = rows.map_err(|_| "it has no tables of ours".to_owned())?;
    let taken: BTreeSet<String> = rows.iter().filter_map(|row| row.try_get("", "name").ok()).collect();
    let missing: Vec<&str> = names.iter().filter(|name| !taken.contains(*name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(format!("these migrations are missing: {}", missing.join(", ")));
    }
    let unknown: Vec<&str> = taken.iter().filter(|name| !names.contains(name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        return Err(format!("it is newer than this version, which does not know {unknown}"));
    }
    Ok(())
}

async fn sqlite(db: &DatabaseConnection, url: &str) -> Result<Sqlite, DbErr> {
    let options = SqliteConnectOptions::from_str(url).map_err(|error| DbErr::Custom(error.to_string()))?;
    let path = options.get_filename().to_owned();
    let journal_mode = match ask(db, "PRAGMA journal_mode").await?.first() {
        Some(row) => row.try_get("", "journal_mode")?,
        None => String::new(),
    };
    Ok(Sqlite { disk: disk::of(&path), holder: holder(&path), path, journal_mode })
}

/// Who holds the lock file beside the database. The kernel is asked, because trying the lock would take it.
fn holder(database: &Path) -> Option<u32> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let file = std::fs::metadata(Path::new(&name)).ok()?.ino().to_string();
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF`
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
        (place.rsplit(':').next() == Some(file.as_str())).then(|| pid.parse().ok())?
    })
}

async fn postgres(db: &DatabaseConnection, url: &str) -> Result<Postgres, DbErr> {
    let mut settings: BTreeMap<String, String> = BTreeMap::new();
    for row in ask(db, SETTINGS).await? {
        settings.insert(row.try_get("", "name")?, row.try_get("", "setting")?);
    }
    let number = async |sql: &'static str| -> Result<i64, DbErr> {
        ask(db, sql).await?.first().map_or(Ok(0), |row| row.try_get("", "number"))
    };
    let version = number("SELECT current_setting('server_version_num')::bigint AS number").await?;
    let connections =
        number("SELECT count(*) AS number FROM pg_stat_activity WHERE backend_type = 'client backend'");
    let connections = connections.await.unwrap_or(0);
    let in_recovery = number("SELECT pg_is_in_recovery()::int::bigint AS number").await.unwrap_or(0);
    // Others that speak the protocol have no such function: then the address has to do.
    let server = match number("SELECT system_identifier AS number FROM pg_control_system()").await {
        Ok(identifier) if identifier != 0 => identifier.to_string(),
        _ => address(url),
    };
    let data: &str = settings.get("data_directory").map_or("", String::as_str);
    let disk = (!data.is_empty() && is_local(url)).then(|| disk::of(Path::new(data)).ok()).flatten();
    Ok(Postgres {
        version: u32::try_from(version).unwrap_or(0),
        server,
        settings,
        in_recovery: in_recovery != 0,
        connections: u32::try_from(connections).unwrap_or(0),
        disk,
    })
}

/// Host and port.
fn address(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    authority.rsplit('@').next().unwrap_or(authority).to_owned()
}

fn is_local(url: &str) -> bool {
    let host = address(url);
    let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
    matches!(host, "" | "localhost" | "127.0.0.1" | "[::1]")
}

async fn ask(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<QueryResult>, DbErr> {
    db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_address_without_who_asks() {
        assert_eq!(address("postgres://u:s3cret@db.example:5433/amends?x=1"), "db.example:5433");
        assert!(is_local("postgres:///amends?host=/run/postgresql"));
        assert!(is_local("postgres://u@127.0.0.1:5432/a") && !is_local("postgres://u@db/a"));
    }

    #[tokio::test]
    async fn a_lock_is_seen_without_being_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        assert_eq!(holder(&path), None);
        let lock = std::fs::File::create(folder.path().join("a.db.lock")).unwrap();
        assert_eq!(holder(&path), None, "a file is no lock");
        lock.try_lock().unwrap();
        assert_eq!(holder(&path), Some(std::process::id()));
    }
}
