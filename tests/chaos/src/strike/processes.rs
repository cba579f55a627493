//! Faults of our own processes.
//!
//! Invariant: who is down on purpose is known to the supervisor, who else lets it run again.

use std::time::Duration;

use rustix::process::Signal;

use super::Trace;
use crate::world::World;

/// Longer than a service drains.
const DRAINED: Duration = Duration::from_secs(40);

pub(super) fn kill(world: &mut World, target: &str) -> Result<Trace, String> {
    world.down.insert(target.to_owned());
    world.system.kill(target);
    Ok(Trace::default())
}

pub(super) fn come_back(world: &mut World, target: &str) -> Result<(), String> {
    world.system.start_service(target);
    world.down.remove(target);
    Ok(())
}

/// Stops it in an orderly way.
pub(super) fn leave(world: &mut World, target: &str) -> Result<Trace, String> {
    world.down.insert(target.to_owned());
    stopped(world, target);
    Ok(Trace::default())
}

pub(super) fn pause(world: &mut World, target: &str) -> Result<Trace, String> {
    if !world.runs(target) {
        return Err(format!("{target} has ended"));
    }
    world.system.process(target).signal(Signal::STOP);
    Ok(Trace::default())
}

pub(super) fn go_on(world: &mut World, target: &str) -> Result<(), String> {
    if world.runs(target) {
        world.system.process(target).signal(Signal::CONT);
    }
    Ok(())
}

/// One orchestrator after the other, each when the one before it is ready again.
pub(super) async fn roll(world: &mut World) -> Result<Trace, String> {
    for name in world.topology.orchestrators() {
        stopped(world, name);
        world.system.start_service(name);
        // Not `ready`: the broker may be away, and then nobody is.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(Trace::default())
}

fn stopped(world: &mut World, name: &str) {
    if !world.runs(name) {
        return;
    }
    let status = world.system.process(name).terminate(DRAINED);
    if !status.success() {
        world.wrong.push(format!("{name} was asked to end and ended with {status}"));
    }
}
