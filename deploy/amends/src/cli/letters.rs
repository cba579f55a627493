//! What operators do with dead letters, as it is typed.
//!
//! Invariant: whatever is done with one needs a reason.

use clap::{Args, Subcommand};

use super::Api;

#[derive(Debug, Args)]
pub(crate) struct DeadLetter {
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(subcommand)]
    pub(crate) command: DeadLetterCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// List them, the last one first
    Ls(DeadLetterList),
    /// Show one: why it was set aside, its headers, its body, and what was done with it
    Show {
        /// Its number, as `ls` shows it
        number: i64,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send its body to its subject again, byte for byte; mend the cause first
    Redrive(WhyLetter),
    /// Say that it shall not be sent again; it stays listed
    Discard(WhyLetter),
}

#[derive(Debug, Args)]
pub(crate) struct DeadLetterList {
    /// Only these, separated by commas: open, redriven, discarded
    #[arg(long)]
    pub(crate) state: Option<String>,
    /// Only set aside for this reason, such as `not-json`
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only set aside by this participant
    #[arg(long)]
    pub(crate) participant: Option<String>,
    /// Only those that came on this subject
    #[arg(long)]
    pub(crate) subject: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// Go on where the last list ended
    #[arg(long)]
    pub(crate) cursor: Option<i64>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which letter, and why.
#[derive(Debug, Args)]
pub(crate) struct WhyLetter {
    /// Its number, as `ls` shows it
    pub(crate) number: i64,
    /// Why; it stands with the letter and your key's name
    #[arg(long)]
    pub(crate) reason: String,
    /// The letter after it, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
