//! Faults of our own processes.
//!
//! Invariant: who is down on purpose is known to the supervisor, who else lets it run again.

use std::time::{Duration, Instant};

use amends_tests::faketime;
use rustix::process::Signal;

use super::Trace;
use crate::{plan::Strike, world::World};

/// So long a supervisor waits for an orderly end before it kills.
const GRACE: Duration = Duration::from_secs(6);
/// Where a process reads at which place it is to die.
pub(crate) const VARIABLE: &str = "AMENDS_CRASH_POINT";
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

/// Starts it again so that it dies at a named place, the first or one of the next times it comes there.
pub(super) fn doom(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    let point = strike.fault.crash_point().ok_or("no place to die")?;
    world.system.kill(strike.target);
    let place = format!("{point}:{}", 1 + strike.dice % 3);
    // An older version may have no such places.
    world.system.run_as(strike.target, None);
    world.system.set_for(strike.target, VARIABLE, Some(&place));
    world.start_service(strike.target);
    // It holds for this life only.
    world.system.set_for(strike.target, VARIABLE, None);
    world.doomed.insert(strike.target.to_owned(), point);
    Ok(Trace::default())
}

/// One that has not come there is started again without.
pub(super) fn spare(world: &mut World, strike: &Strike) -> Result<(), String> {
    world.supervise();
    if world.doomed.remove(strike.target).is_some() {
        world.system.kill(strike.target);
        world.start_service(strike.target);
        return Err(format!("{} did not come there", strike.target));
    }
    Ok(())
}

/// Starts it again with a clock that is some seconds off: less than what everything has to settle in.
pub(super) fn jump(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    let library = faketime().ok_or("faketime is not installed")?;
    let ahead = if strike.dice.is_multiple_of(2) { '+' } else { '-' };
    let offset = format!("{ahead}{}s", 2 + strike.dice % 18);
    world.system.kill(strike.target);
    let settings = [("LD_PRELOAD", library.display().to_string()), ("FAKETIME", offset)];
    for (name, value) in &settings {
        world.system.set_for(strike.target, name, Some(value));
    }
    world.start_service(strike.target);
    for (name, _) in &settings {
        world.system.set_for(strike.target, name, None);
    }
    Ok(Trace::default())
}

/// Its clock is right again.
pub(super) fn jump_back(world: &mut World, target: &str) -> Result<(), String> {
    world.system.kill(target);
    world.start_service(target);
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

/// One orchestrator after the other, each when the one before it is started again. Where there is an older version,
/// every second one comes back as that, and the next time the others do.
pub(super) async fn roll(world: &mut World) -> Result<Trace, String> {
    for (place, name) in world.topology.orchestrators().into_iter().enumerate() {
        stopped(world, name).await;
        let older = world.older.clone().filter(|_| (place + world.rolls).is_multiple_of(2));
        world.started_older += u64::from(older.is_some());
        world.system.run_as(name, older);
        world.start_service(name);
        // Not until it is ready: the broker may be away, and then nobody is.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    world.rolls += 1;
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
