//! Opening PostgreSQL, or what speaks its protocol.

use std::io::ErrorKind;
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use amends_postgres::Relay;
use sea_orm::SqlxPostgresConnector;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Error as SqlxError};
use tokio::time::sleep;

use super::{Connections, Dialect, Held, STATEMENTS_KEPT};
use crate::config::{HASTY_MAX, without_password};
use crate::{Access, Config, Error};

/// What the server's `pg_stat_activity` shows us as.
const APPLICATION_NAME: &str = "amends";

/// Whatever we look for is found by an index, but where some hundred rows are looked for at once, a planner that takes
/// a page from anywhere for a slow disk's reads the whole table, the slower the more is stored. Its price for that is so
/// high that it would think compiling worth its while.
const PLANNER: [(&str, &str); 2] = [("enable_seqscan", "off"), ("jit", "off")];

pub(super) async fn open(config: &Config, access: Access) -> Result<Connections, Error> {
    let place = without_password(&config.url);
    let read_only = (access == Access::ReadOnly).then_some(("default_transaction_read_only", "on"));
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| Error::Config { why: format!("{place:?}: {error}") })?
        .application_name(APPLICATION_NAME)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .options([("statement_timeout", config.statement_timeout_ms)])
        .options(PLANNER)
        .options(read_only)
        .disable_statement_logging();
    // Directly first: a server that cannot be reached, or does not want us, is told apart best so.
    let opened = connect_when_up(&options, Duration::from_millis(config.connect_timeout_ms)).await;
    opened.map_err(|error| Error::Open { place: place.clone(), why: error.to_string() })?;
    let (options, relay) = Relay::through(options, Duration::from_millis(config.statement_timeout_ms));
    let pool = |connections: u32| {
        let idle_check = Duration::from_millis(config.idle_check_ms);
        PgPoolOptions::new()
            .max_connections(connections.max(1))
            .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
            .test_before_acquire(false)
            .before_acquire(move |connection, about| {
                Box::pin(async move {
                    if about.idle_for >= idle_check {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
    };
    let writer = pool(config.writers_max).connect_lazy_with(options.clone());
    let hasty = pool(HASTY_MAX).connect_lazy_with(options.clone().options([("synchronous_commit", "off")]));
    let reader = pool(config.readers_max).connect_lazy_with(options);
    Ok(Connections {
        dialect: Dialect::Postgres,
        writer: SqlxPostgresConnector::from_sqlx_postgres_pool(writer),
        hasty: SqlxPostgresConnector::from_sqlx_postgres_pool(hasty),
        reader: SqlxPostgresConnector::from_sqlx_postgres_pool(reader),
        sqlite_writer: None,
        _held: relay.map_or(Held::Nothing, Held::Relay),
    })
}

/// Connects once and hangs up; waits for a server that is still starting.
async fn connect_when_up(options: &PgConnectOptions, patience: Duration) -> Result<(), SqlxError> {
    let begun = Instant::now();
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(left);
        // The pool knows which errors are a start's.
        match pool.connect_with(options.clone()).await {
            Ok(pool) => {
                pool.close().await;
                return Ok(());
            }
            Err(error) if hung_up(&error) && begun.elapsed() < patience => sleep(HUNG_UP_PAUSE).await,
            Err(error) => return Err(error),
        }
    }
}

/// Pause before somebody is called again who has hung up.
const HUNG_UP_PAUSE: Duration = Duration::from_millis(100);

/// Whether the connection was taken and broken off: so does a balancer or a tunnel while the server behind it
/// is not up.
fn hung_up(error: &SqlxError) -> bool {
    match error {
        SqlxError::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::UnexpectedEof
        ),
        // The end of the connection, read as an answer to the question for TLS.
        SqlxError::Protocol(what) => what.contains("SSLRequest: 0x00"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    /// Found by the nemesis, seed 4: an orchestrator behind a proxy ended at once while PostgreSQL started.
    #[tokio::test]
    async fn whoever_takes_the_connection_and_hangs_up_is_called_again() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                drop(connection);
            }
        });
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port);
        let opened = connect_when_up(&options, HUNG_UP_PAUSE * 3).await;
        assert!(opened.is_err());
        assert!(calls.load(Ordering::Relaxed) > 1, "{opened:?}");
    }
}
