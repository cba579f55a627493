//! Faults of the databases, made by others who use them.
//!
//! Invariant: whoever holds a lock is gone when the fault ends.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use sea_orm::{ConnectOptions, ConnectionTrait, Database};

use super::Trace;
use crate::{plan::Strike, world::World};

/// So long may it take to stop at once.
const ENDS_WITHIN: Duration = Duration::from_secs(6);

/// It stops at once, as if it had crashed: it recovers from its log when it starts.
pub(super) async fn kill(world: &mut World) -> Result<Trace, String> {
    let cluster = world.cluster.as_mut().ok_or("there is no PostgreSQL")?;
    cluster.process().signal(Signal::QUIT);
    let begun = Instant::now();
    while cluster.process().ended().is_none() {
        // It waits a minute for whoever has connected and says nothing.
        if begun.elapsed() > ENDS_WITHIN {
            cluster.signal_all(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(Trace::default())
}

pub(super) fn start(world: &mut World) -> Result<(), String> {
    world.cluster.as_mut().ok_or("there is no PostgreSQL")?.start_again();
    Ok(())
}

pub(super) fn pause(world: &World) -> Result<Trace, String> {
    world.cluster.as_ref().ok_or("there is no PostgreSQL")?.signal_all(Signal::STOP);
    Ok(Trace::default())
}

pub(super) fn go_on(world: &World) -> Result<(), String> {
    world.cluster.as_ref().ok_or("there is no PostgreSQL")?.signal_all(Signal::CONT);
    Ok(())
}

pub(super) fn end_sessions(world: &World) -> Result<Trace, String> {
    let cluster = world.cluster.as_ref().ok_or("there is no PostgreSQL")?;
    let all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'";
    cluster.run(&cluster.url("postgres"), all).map(|_| Trace::default())
}

/// Holds a table for as long as the fault lasts.
pub(super) fn lock_table(world: &World, strike: &Strike) -> Result<Trace, String> {
    let cluster = world.cluster.as_ref().ok_or("there is no PostgreSQL")?;
    let (service, table) = strike.target.split_once('.').ok_or("no table")?;
    let url = world.system.setting(&format!("AMENDS_{}__DATABASE__URL", service.to_uppercase()));
    let seconds = strike.lasts_ms as f64 / 1_000.0;
    let held = format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE; SELECT pg_sleep({seconds}); COMMIT");
    Ok(Trace { session: Some(cluster.session(url, &held)), ..Trace::default() })
}

pub(super) fn fill(world: &World) -> Result<Trace, String> {
    world.disk.as_ref().ok_or("there is no small disk")?.fill().map(|()| Trace::default())
}

/// The broker is started again: it has switched `JetStream` off, and does not switch it on by itself.
pub(super) fn grow(world: &mut World) -> Result<(), String> {
    world.disk.as_ref().ok_or("there is no small disk")?.grow()?;
    let broker = &mut world.system.broker;
    broker.kill();
    broker.start_again();
    Ok(())
}

/// Writes, and does not end.
pub(super) async fn lock_sqlite(world: &World, target: &str) -> Result<Trace, String> {
    let url = world.system.setting(&format!("AMENDS_{}__DATABASE__URL", target.to_uppercase()));
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let database = Database::connect(options).await.map_err(|error| error.to_string())?;
    database.execute_unprepared("BEGIN EXCLUSIVE").await.map_err(|error| error.to_string())?;
    Ok(Trace { lock: Some(database), ..Trace::default() })
}

pub(super) async fn unlock_sqlite(trace: Trace) -> Result<(), String> {
    let Some(database) = trace.lock else { return Ok(()) };
    let ended = database.execute_unprepared("ROLLBACK").await.map_err(|error| error.to_string());
    let _ = database.close().await;
    ended.map(drop)
}
