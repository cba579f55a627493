//! Opening PostgreSQL, or what speaks its protocol.

use std::str::FromStr as _;
use std::time::Duration;

use sea_orm::SqlxPostgresConnector;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sea_orm::sqlx::{ConnectOptions as _, Connection as _, Error as SqlxError};

use super::relay::Relay;
use super::{Connections, Dialect, Held, STATEMENTS_KEPT};
use crate::config::without_password;
use crate::{Access, Config, Error};

/// What the server's `pg_stat_activity` shows us as.
const APPLICATION_NAME: &str = "amends";

pub(super) async fn open(config: &Config, access: Access) -> Result<Connections, Error> {
    let place = without_password(&config.url);
    let read_only = (access == Access::ReadOnly).then_some(("default_transaction_read_only", "on"));
    let options = PgConnectOptions::from_str(&config.url)
        .map_err(|error| Error::Config { why: format!("{place:?}: {error}") })?
        .application_name(APPLICATION_NAME)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .options([("statement_timeout", config.statement_timeout_ms)])
        .options(read_only)
        .disable_statement_logging();
    // Directly first: a server that cannot be reached, or does not want us, is told apart best so.
    let opened = connect_when_up(&options, Duration::from_millis(config.connect_timeout_ms)).await;
    opened.map_err(|error| Error::Open { place: place.clone(), why: error.to_string() })?;
    let (options, relay) = Relay::through(options);
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
    let reader = pool(config.readers_max).connect_lazy_with(options);
    Ok(Connections {
        dialect: Dialect::Postgres,
        writer: SqlxPostgresConnector::from_sqlx_postgres_pool(writer),
        reader: SqlxPostgresConnector::from_sqlx_postgres_pool(reader),
        _held: relay.map_or(Held::Nothing, Held::Relay),
    })
}

/// Connects once and hangs up; waits for a server that is still starting.
async fn connect_when_up(options: &PgConnectOptions, patience: Duration) -> Result<(), SqlxError> {
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(patience);
    // The pool knows which errors are a start's.
    let pool = pool.connect_with(options.clone()).await?;
    pool.close().await;
    Ok(())
}
