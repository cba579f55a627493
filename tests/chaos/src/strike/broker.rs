//! Faults of the broker's process and of its store.
//!
//! Invariant: it comes back on the same port, and its folder is the same one, whatever is in it.

use std::{fs, path::Path, path::PathBuf};

use rustix::process::Signal;

use super::Trace;
use crate::world::World;

pub(super) fn kill(world: &mut World) -> Result<Trace, String> {
    world.system.broker.process().kill();
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
    world.system.broker.process().signal(Signal::STOP);
    Ok(Trace::default())
}

pub(super) fn go_on(world: &mut World) -> Result<(), String> {
    world.system.broker.process().signal(Signal::CONT);
    Ok(())
}

/// Takes a copy while the broker is down for a moment, and lets it go on.
pub(super) fn copy(world: &mut World) -> Result<Trace, String> {
    world.system.broker.process().kill();
    let copy = world.system.folder().join("jetstream before");
    let copied = copy_folder(&world.system.broker.store(), &copy);
    world.system.broker.start_again();
    copied.map_err(|error| error.to_string())?;
    Ok(Trace { copy: Some(copy), ..Trace::default() })
}

/// What was stored since the copy never was.
pub(super) fn roll_back(world: &mut World, copy: Option<PathBuf>) -> Result<(), String> {
    let Some(copy) = copy else { return Ok(()) };
    world.system.broker.kill_and_wipe();
    let restored = fs::rename(&copy, world.system.broker.store());
    world.system.broker.start_again();
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
