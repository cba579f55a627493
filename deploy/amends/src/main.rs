//! The one binary: every service, the demo, and the command line for operators.
//!
//! It wires the crates and knows no business of theirs. Invariant: each way to end has its exit code: 0
//! done, 1 failed or not as expected, 2 wrong usage (clap), 78 wrong configuration (EX_CONFIG of
//! sysexits.h).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod api;
mod cli;
mod commands;
mod config;
mod demo;
mod leash;
mod narrate;
mod nats_server;
mod output;
mod role;

use std::{io, process::ExitCode};

use clap::Parser;

/// Batches take and give back thousands of small pieces at once, on several threads: what the C library's allocator does
/// about that took a fifth of the orchestrator's time.
#[cfg(not(feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// It gives a thread first what was given back there last, and that is in the processor's cache still.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read our output (`| head`) has seen enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(commands::exit_code(&error))
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
