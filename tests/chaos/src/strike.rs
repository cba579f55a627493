//! Begins and ends faults.
//!
//! Invariant: a fault that could not be begun says why and is not counted; ending it is always tried.

mod broker;
mod processes;

use std::path::PathBuf;

use crate::{fault::Fault, plan::Strike, world::World};

/// What a fault leaves behind until it ends.
#[derive(Default)]
pub(crate) struct Trace {
    /// An older copy of something.
    copy: Option<PathBuf>,
}

/// Begins a fault.
///
/// # Errors
/// Why it cannot be made now.
pub(crate) async fn begin(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    match strike.fault {
        Fault::Kill => processes::kill(world, strike.target),
        Fault::Pause => processes::pause(world, strike.target),
        Fault::Outage => processes::leave(world, strike.target),
        Fault::RollingRestart => processes::roll(world).await,
        Fault::BrokerKilled => broker::kill(world),
        Fault::BrokerPaused => broker::pause(world),
        Fault::StoreWiped => broker::wipe(world),
        Fault::StoreRolledBack => broker::copy(world),
    }
}

/// Ends it.
///
/// # Errors
/// What could not be mended.
pub(crate) async fn end(world: &mut World, strike: &Strike, trace: Trace) -> Result<(), String> {
    match strike.fault {
        Fault::Kill | Fault::Outage => processes::come_back(world, strike.target),
        Fault::Pause => processes::go_on(world, strike.target),
        Fault::RollingRestart => Ok(()),
        Fault::BrokerKilled | Fault::StoreWiped => broker::start(world),
        Fault::BrokerPaused => broker::go_on(world),
        Fault::StoreRolledBack => broker::roll_back(world, trace.copy),
    }
}
