//! The command line: what can be said, as types. What it does stands in `commands`.
//!
//! Invariant: flags come last (defaults < file < environment < flags), and `--json` is there wherever
//! something is shown.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

use amends_contract::{SagaId, Token};
use amends_server::keys::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Variables that begin like settings and are flags of single commands.
pub(crate) const API_KEY_VARIABLE: &str = "AMENDS_API_KEY";
pub(crate) const ADMIN_URL_VARIABLE: &str = "AMENDS_ADMIN_URL";

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 failed, or not as expected; 2 wrong usage; 78 wrong configuration.
Configuration: defaults < file (--config) < environment (AMENDS_INVENTORY__DATABASE__URL=..) < --set.
`amends config show` lists every setting, its value and where it came from.";

/// A saga orchestrator on NATS JetStream, its reference services, and the tools of its operators.
#[derive(Debug, Parser)]
#[command(name = "amends", version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Settings {
    /// Configuration file (TOML)
    #[arg(long, global = true, env = "AMENDS_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// One setting, over file and environment: `--set inventory.http.listen=127.0.0.1:9000`
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the orchestrator: REST API, timers, replies
    Orchestrator,
    /// Run the inventory service
    Inventory,
    /// Run the payment service
    Payment,
    /// Run the notification service
    Notification,
    /// Run the simulated payment provider
    Provider,
    /// Run a mail server that delivers nothing and shows what it was given (GET /mails)
    MailCatcher(MailCatcher),
    /// Show five orders with five fates on a broker and services of its own; Ctrl-C removes it all
    Demo(Demo),
    /// Look at sagas, by the admin API
    Saga(Saga),
    /// Look at definitions
    #[command(subcommand)]
    Definition(Definition),
    /// Look at the configuration
    #[command(subcommand)]
    Config(Config),
    /// Make, list and revoke API keys, in the orchestrator's database
    #[command(subcommand)]
    Key(Key),
    /// Bring the databases to the newest schema (each service does so itself when it starts)
    Migrate(Migrate),
    /// Print the path of a fit nats-server; install the pinned one if there is none
    NatsServer,
    /// Run a program that is killed when the process PARENT ends
    #[command(hide = true)]
    Leash(Leash),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// End after the five orders: exit 0 only if each met its fate and the books balance
    #[arg(long)]
    pub(crate) once: bool,
    /// Run each service as a process of its own
    #[arg(long)]
    pub(crate) processes: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MailCatcher {
    /// Where to take mail
    #[arg(long, default_value = "127.0.0.1:1025")]
    pub(crate) smtp: SocketAddr,
    /// Where to show it
    #[arg(long, default_value = "127.0.0.1:8086")]
    pub(crate) http: String,
}

#[derive(Debug, Args)]
pub(crate) struct Saga {
    #[command(flatten)]
    pub(crate) api: Api,
    #[command(subcommand)]
    pub(crate) command: SagaCommand,
}

/// How to reach the admin API.
#[derive(Debug, Args)]
pub(crate) struct Api {
    /// Base URL of the admin API
    #[arg(long, global = true, env = ADMIN_URL_VARIABLE, default_value = "http://127.0.0.1:8081")]
    pub(crate) url: String,
    /// API key with the scope `operate`; better in the environment than on the command line
    #[arg(long, global = true, env = API_KEY_VARIABLE, hide_env_values = true, value_name = "KEY")]
    pub(crate) api_key: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SagaCommand {
    /// List sagas, the newest first
    Ls(SagaList),
    /// Show one saga: its state, its steps and its journal
    Show {
        /// The saga's id
        id: SagaId,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Follow one saga until it ends; exit 1 if it did not complete
    Watch {
        /// The saga's id
        id: SagaId,
        /// As JSON, a journal entry a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SagaList {
    /// Only this status: running, compensating, parked, completed, compensated, abandoned
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// Only with this flag: needs_attention, awaiting, held, overdue, paused, definition_unknown
    #[arg(long)]
    pub(crate) flag: Option<String>,
    /// Only of this definition, such as `order`
    #[arg(long)]
    pub(crate) definition: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
    /// Go on where the last list ended
    #[arg(long)]
    pub(crate) cursor: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Definition {
    /// Check definition files; exit 1 if one is wrong
    Validate {
        /// Files such as saga-definitions/order.v1.yaml; their schemas are read beside them
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the language, for editors
    Schema,
    /// Rehearse a definition: every fault at every step, in virtual time; exit 1 if something is found
    DryRun(DryRun),
}

#[derive(Debug, Args)]
pub(crate) struct DryRun {
    /// The definition, such as saga-definitions/order.v1.yaml; its schemas are read beside it
    pub(crate) file: PathBuf,
    /// What the sagas are about (JSON); made up from the input's schema if left out
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
    /// What steps give back (JSON: step to output); made up for those that are left out
    #[arg(long, value_name = "FILE")]
    pub(crate) replies: Option<PathBuf>,
    /// A step without an undo whose effect may stay when the saga is compensated
    #[arg(long, value_name = "STEP")]
    pub(crate) allow_left: Vec<Token>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// List every setting, its value and where it came from
    Show {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key; it is shown this once
    Create {
        /// What it may do: order (place and read orders), operate (see and act on sagas), admin (all)
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<Scope>,
        /// Whose it is
        #[arg(long)]
        name: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// List keys
    Ls {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End a key; running orchestrators notice within seconds
    Revoke {
        /// What it begins with, as `key ls` shows it
        prefix: String,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Whose database; all of them if none is named
    pub(crate) services: Vec<Owner>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Who owns a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Owner {
    Orchestrator,
    Inventory,
    Payment,
    Notification,
}

impl Owner {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Orchestrator => "orchestrator",
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Notification => "notification",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Leash {
    /// Process id of the caller
    pub(crate) parent: i32,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub(crate) command: Vec<OsString>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, such as log.format=json".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_may_stand_behind_the_command() {
        let line = ["amends", "orchestrator", "--set", "log.level=debug", "--set", "nats.url=a=b"];
        let cli = Cli::try_parse_from(line).unwrap();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(cli.settings.set, [pair("log.level", "debug"), pair("nats.url", "a=b")]);
    }

    #[test]
    fn a_leash_takes_flags_of_others() {
        let cli = Cli::try_parse_from(["amends", "leash", "7", "nats-server", "--port", "-1"]).unwrap();
        let Command::Leash(leash) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!((leash.parent, leash.command.len()), (7, 3));
    }
}
