//! Faults of the broker's processes and of their stores.
//!
//! Invariant: each comes back on the same port, and its folder is the same one, whatever is in it.

use std::{fs, path::Path, path::PathBuf};

use amends_tests::NatsServer;
use rustix::process::Signal;

use super::Trace;
use crate::{plan::Strike, world::World};

pub(super) fn kill(world: &mut World) -> Result<Trace, String> {
    world.system.broker.kill();
    Ok(Trace::default())
}

pub(super) fn wipe(world: &mut World) -> Result<Trace, String> {
    world.system.broker.kill_and_wipe();
    Ok(Trace::default())
}

pub(super) fn start(world: &mut World) -> Result<(), String> {
    world.system.broker.start_again();
    Ok(())
}

pub(super) fn pause(world: &mut World) -> Result<Trace, String> {
    world.system.broker.signal(Signal::STOP);
    Ok(Trace::default())
}

pub(super) fn go_on(world: &mut World) -> Result<(), String> {
    world.system.broker.signal(Signal::CONT);
    Ok(())
}

/// While an election is under way there is no leader, and any server is killed.
pub(super) fn kill_leader(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    let server = match world.system.broker.leader(strike.target) {
        Some(leader) => leader,
        None => {
            let note = format!("{} had no leader that could be killed; another server was", strike.target);
            *world.notes.entry(note).or_default() += 1;
            chosen(world, strike)?
        }
    };
    one(world, server)?.process().kill();
    Ok(Trace { server, ..Trace::default() })
}

pub(super) fn start_one(world: &mut World, trace: &Trace) -> Result<(), String> {
    one(world, trace.server)?.start_again();
    Ok(())
}

pub(super) fn pause_one(world: &mut World, strike: &Strike) -> Result<Trace, String> {
    let server = chosen(world, strike)?;
    one(world, server)?.process().signal(Signal::STOP);
    Ok(Trace { server, ..Trace::default() })
}

pub(super) fn go_on_one(world: &mut World, trace: &Trace) -> Result<(), String> {
    one(world, trace.server)?.process().signal(Signal::CONT);
    Ok(())
}

fn chosen(world: &mut World, strike: &Strike) -> Result<usize, String> {
    let count = world.system.broker.servers().len() as u64;
    usize::try_from(strike.dice % count).map_err(|error| error.to_string())
}

fn one(world: &mut World, server: usize) -> Result<&mut NatsServer, String> {
    world.system.broker.servers().get_mut(server).ok_or_else(|| format!("there is no server {server}"))
}

/// Takes copies while the broker is down for a moment, and lets it go on.
pub(super) fn copy(world: &mut World) -> Result<Trace, String> {
    let copy = world.system.folder().join("jetstream before");
    let broker = &mut world.system.broker;
    broker.kill();
    let mut servers = broker.servers().iter();
    let copied = servers.try_for_each(|server| copy_folder(&server.store(), &copy.join(server.name())));
    broker.start_again();
    copied.map_err(|error| error.to_string())?;
    Ok(Trace { copy: Some(copy), ..Trace::default() })
}

/// What was stored since the copies never was.
pub(super) fn roll_back(world: &mut World, copy: Option<PathBuf>) -> Result<(), String> {
    let Some(copy) = copy else { return Ok(()) };
    let broker = &mut world.system.broker;
    broker.kill_and_wipe();
    let mut servers = broker.servers().iter();
    let restored = servers.try_for_each(|server| fs::rename(copy.join(server.name()), server.store()));
    broker.start_again();
    restored.map_err(|error| error.to_string())
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}
