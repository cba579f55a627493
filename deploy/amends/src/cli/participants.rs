//! What operators do with participants, as it is typed.
//!
//! Invariant: whatever is done with one needs a reason.

use amends_contract::Token;
use clap::{Args, Subcommand};

use super::{Api, Span};

#[derive(Debug, Args)]
pub(crate) struct Participant {
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(subcommand)]
    pub(crate) command: ParticipantCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParticipantCommand {
    /// List them: who runs, how far each is behind, who is paused and why
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Send it no more commands; its sagas are held, and nothing burns
    Pause {
        #[command(flatten)]
        why: WhyParticipant,
        /// When it goes on by itself: after 90s, 10m, 2h or 1d; if left out, somebody has to resume it
        #[arg(long = "for", value_name = "TIME")]
        span: Option<Span>,
    },
    /// Let it go on, also when somebody paused its consumer by hand
    Resume {
        #[command(flatten)]
        why: WhyParticipant,
    },
}

/// Which participant, and why.
#[derive(Debug, Args)]
pub(crate) struct WhyParticipant {
    /// Its name, such as `inventory`
    pub(crate) name: Token,
    /// Why; it is kept with your key's name
    #[arg(long)]
    pub(crate) reason: String,
    /// What was said, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
