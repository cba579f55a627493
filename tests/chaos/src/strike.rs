//! Begins and ends faults.
//!
//! Invariant: a fault that could not be begun says why and is not counted; ending it is always tried.

mod broker;
mod databases;
mod messages;
mod network;
pub(crate) mod processes;
pub(crate) mod provider;

use std::path::PathBuf;

use amends_tests::Process;
use sea_orm::DatabaseConnection;

use crate::{
    fault::{Fault, Realm},
    plan::Strike,
    world::World,
};

/// What a fault leaves behind until it ends.
#[derive(Default)]
pub(crate) struct Trace {
    /// An older copy of something.
    copy: Option<PathBuf>,
    /// Which server of a cluster is struck.
    server: usize,
    /// Who holds a lock.
    lock: Option<DatabaseConnection>,
    /// The same on PostgreSQL.
    #[expect(dead_code, reason = "it is held until it is dropped")]
    session: Option<Process>,
    /// Messages that are held back.
    held: messages::Messages,
}

/// Begins a fault.
///
/// # Errors
/// Why it cannot be made now.
pub(crate) async fn begin(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    match strike.fault {
        Fault::Kill => processes::kill(world, strike.target),
        Fault::DiesAfterCommit
        | Fault::DiesBeforePublish
        | Fault::DiesAfterPublish
        | Fault::DiesBeforeAck
        | Fault::DiesMidBatch => processes::doom(world, strike),
        Fault::Pause => processes::pause(world, strike.target),
        Fault::Outage => processes::leave(world, strike.target).await,
        Fault::RollingRestart => processes::roll(world).await,
        Fault::BrokerKilled => broker::kill(world),
        Fault::BrokerPaused => broker::pause(world),
        Fault::LeaderKilled => broker::kill_leader(world, strike),
        Fault::ServerPaused => broker::pause_one(world, strike),
        Fault::StoreWiped => broker::wipe(world),
        Fault::StoreRolledBack => broker::copy(world),
        Fault::DiskFull => databases::fill(world),
        Fault::ClockOff => processes::jump(world, strike),
        Fault::PostgresKilled => databases::kill(world).await,
        Fault::PostgresPaused => databases::pause(world),
        Fault::SessionsEnded => databases::end_sessions(world),
        Fault::TableLocked => databases::lock_table(world, strike),
        Fault::SqliteLocked => databases::lock_sqlite(world, strike.target).await,
        other => match other.realm() {
            Realm::Network => network::begin(world, strike),
            Realm::Provider => provider::begin(world, strike).await,
            _ => messages::begin(world, strike).await,
        },
    }
}

/// Ends it.
///
/// # Errors
/// What could not be mended.
pub(crate) async fn end(world: &mut World, strike: &Strike, trace: Trace) -> Result<(), String> {
    match strike.fault {
        Fault::Kill | Fault::Outage => processes::come_back(world, strike.target),
        Fault::DiesAfterCommit
        | Fault::DiesBeforePublish
        | Fault::DiesAfterPublish
        | Fault::DiesBeforeAck
        | Fault::DiesMidBatch => processes::spare(world, strike),
        Fault::Pause => processes::go_on(world, strike.target),
        Fault::BrokerKilled | Fault::StoreWiped => broker::start(world),
        Fault::BrokerPaused => broker::go_on(world),
        Fault::LeaderKilled => broker::start_one(world, &trace),
        Fault::ServerPaused => broker::go_on_one(world, &trace),
        Fault::StoreRolledBack => broker::roll_back(world, trace.copy),
        Fault::HeldBack => messages::release(world, trace).await,
        Fault::DiskFull => databases::grow(world),
        Fault::ClockOff => processes::jump_back(world, strike.target),
        Fault::PostgresKilled => databases::start(world),
        Fault::PostgresPaused => databases::go_on(world),
        Fault::SqliteLocked => databases::unlock_sqlite(trace).await,
        other => match other.realm() {
            Realm::Network => network::clear(world, strike.target),
            Realm::Provider => provider::off(world).await,
            // What it did was done at once, or ends by itself.
            _ => Ok(()),
        },
    }
}
