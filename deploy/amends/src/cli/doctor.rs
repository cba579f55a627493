//! `amends doctor`: what is examined, and how strictly.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Only these roles: those whose configuration and broker user these settings are. All of them if left out
    #[arg(long = "role", value_enum, value_name = "ROLE")]
    pub(crate) roles: Vec<Examined>,
    /// Fail on warnings, and on what could not be looked at, too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Show only what is not as it should be
    #[arg(long)]
    pub(crate) quiet: bool,
    /// How long each part may take to answer
    #[arg(long, default_value_t = 5, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    pub(crate) wait: u64,
    /// As JSON: a finding a line, then the summary with what would be lost
    #[arg(long)]
    pub(crate) json: bool,
}

/// What has a configuration of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Examined {
    Orchestrator,
    Inventory,
    Payment,
    Notification,
}
