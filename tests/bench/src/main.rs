//! `amends-bench`: how fast Amends is on this machine.
//!
//! Invariant: it ends with 1 if anything was wrong, however fast it was.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

mod floor;

use std::process::ExitCode;

use amends_bench::{participant, run};
use amends_service::RuntimeConfig;
use clap::{Parser, Subcommand};

/// As in the product, for the floor as for the participants.
#[cfg(not(feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Measure {
    /// Measures the whole, setting by setting.
    Run(run::Arguments),
    /// The smallest honest pipeline for a saga of four steps, in this one process: prints one line of JSON.
    Floor(floor::Arguments),
    /// A participant of the world `books`; started by `run`.
    Participant(participant::Arguments),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().measure {
        Measure::Run(arguments) => {
            // One thread: the load shall take little of the processors that are measured.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let is_well = runtime.block_on(run::run(&arguments))?;
            Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Measure::Floor(arguments) => {
            println!("{}", serde_json::to_string(&floor::run(&arguments)?)?);
            Ok(ExitCode::SUCCESS)
        }
        Measure::Participant(arguments) => {
            // As `amends inventory` has it.
            let runtime = RuntimeConfig::default().start()?;
            runtime.block_on(participant::run(arguments)).map(|()| ExitCode::SUCCESS)
        }
    }
}
