//! Runs a program that does not outlive the process that asked for it.
//!
//! A demo or a test that is killed cannot clean up. The kernel can: it kills whoever asked to be killed
//! at the parent's death, and that wish survives `exec`. Elsewhere than on Linux there is no such wish;
//! there only an orderly end takes the children along.

use std::{io, os::unix::process::CommandExt, process};

use anyhow::Context;

use crate::cli::Leash;

/// Replaces this process by the program; returns only when that fails.
pub(crate) fn run(leash: &Leash) -> anyhow::Result<()> {
    wish_to_die_with(leash.parent).context("the kernel does not take the wish to die with the parent")?;
    let (program, arguments) =
        leash.command.split_first().unwrap_or_else(|| unreachable!("clap asks for a program"));
    let error = process::Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("{} does not run", program.display()))
}

#[cfg(target_os = "linux")]
fn wish_to_die_with(parent: i32) -> io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have died before the wish was known; then nobody will tell.
    match getppid() {
        Some(now) if Some(now) == Pid::from_raw(parent) => Ok(()),
        _ => Err(io::Error::other("the parent has ended already")),
    }
}

#[cfg(not(target_os = "linux"))]
fn wish_to_die_with(_parent: i32) -> io::Result<()> {
    Ok(())
}
