//! Faults of our own processes.
//!
//! Invariant: who is down on purpose is known to the supervisor, who else lets it run again.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Trace;
use crate::world::World;

/// So long a supervisor waits for an orderly end before it kills.
const GRACE: Duration = Duration::from_secs(6);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A process that has hardly begun does not listen for signals yet.
const LISTENS_AFTER: Duration = Duration::from_secs(3);

pub(super) fn kill(world: &mut World, target: &str) -> Result<Trace, String> {
    world.down.insert(target.to_owned());
    world.system.kill(target);
    Ok(Trace::default())
}

pub(super) fn come_back(world: &mut World, target: &str) -> Result<(), String> {
    world.start_service(target);
    world.down.remove(target);
    Ok(())
}

/// Stops it in an orderly way.
pub(super) async fn leave(world: &mut World, target: &str) -> Result<Trace, String> {
    world.down.insert(target.to_owned());
    stopped(world, target).await;
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
        stopped(world, name).await;
        world.start_service(name);
        // Not until it is ready: the broker may be away, and then nobody is.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(Trace::default())
}

/// Asks it to end; kills it when it takes too long, as a supervisor does.
async fn stopped(world: &mut World, name: &str) {
    if !world.runs(name) {
        return;
    }
    let is_young = world.age(name) < LISTENS_AFTER;
    let process = world.system.process(name);
    process.signal(Signal::TERM);
    let asked = Instant::now();
    while asked.elapsed() < GRACE {
        if let Some(status) = process.ended() {
            if !status.success() && !is_young {
                world.wrong.push(format!("{name} was asked to end and ended with {status}"));
            }
            return;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    process.kill();
    *world.notes.entry(format!("{name} did not end within {GRACE:?} and was killed")).or_default() += 1;
}
