//! `amends-bench`: how fast Amends is on this machine.
//!
//! Invariant: what it prints on standard output is JSON, one line for each measurement; all else goes to
//! standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it is a program for people")]

mod floor;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    measure: Measure,
}

#[derive(Subcommand)]
enum Measure {
    /// The smallest honest pipeline for a saga of four steps, in this one process.
    Floor(floor::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().measure {
        Measure::Floor(arguments) => {
            println!("{}", serde_json::to_string(&floor::run(&arguments)?)?);
        }
    }
    Ok(())
}
