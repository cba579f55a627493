//! The command line: what can be said, as types. What it does stands in `commands`.
//!
//! Invariant: flags come last (defaults < file < environment < flags), and `--json` is there wherever
//! something is shown.

mod act;
mod audit;
mod doctor;
mod letters;
mod messages;
mod participants;

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, str::FromStr};

use amends_contract::{SagaId, Timestamp, Token};
use amends_server::keys::Scope;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use act::{Abandon, DefinitionList, Edit, PauseDefinition, Settle, Signal, Start, Why};
pub(crate) use audit::{Audit, Book};
pub(crate) use doctor::{Doctor, Examined};
pub(crate) use letters::{DeadLetter, DeadLetterCommand, DeadLetterList, WhyLetter};
pub(crate) use messages::{Message, MessageList, Place, Redrive};
pub(crate) use participants::{Participant, ParticipantCommand, WhyParticipant};

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
    /// Look at sagas and act on them, by the admin API
    Saga(Saga),
    /// Look at messages that nobody could read or route, send them again or discard them, by the admin API
    DeadLetter(DeadLetter),
    /// Look at messages in their streams and send them again, by the broker itself
    #[command(subcommand)]
    Message(Message),
    /// Look at participants, pause them and let them go on, by the admin API
    Participant(Participant),
    /// Check definitions; pause them, by the admin API
    #[command(subcommand)]
    Definition(Definition),
    /// Replay stored journals through the engine; exit 1 if a saga is not what its journal says
    Verify(Verify),
    /// Check that all books agree: databases, provider, mail, streams; exit 1 if something is wrong
    Audit(Audit),
    /// Check this deployment, and say what would be lost in which failure; exit 1 if something is wrong
    Doctor(Doctor),
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
    /// How many messages to keep; of more, the oldest are forgotten
    #[arg(long, default_value_t = amends_notification::catcher::MESSAGES_COUNT_MAX, value_name = "COUNT")]
    pub(crate) keep: usize,
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
    /// Start a saga of any definition; prints its id
    Start(Start),
    /// Tell a saga what it awaits
    Signal(Signal),
    /// Send now what is open: ends back-offs, frees stuck steps, counts attempts anew
    Retry(Why),
    /// End what only waits: a back-off, the wait for a signal (as its timeout would) or for the start
    SkipWait(Why),
    /// The owner's wish: turn back, as long as the point of no return is not passed
    Cancel(Why),
    /// The same, wanted by an operator
    Compensate(Why),
    /// Send nothing more and stop all clocks; replies still count
    Pause(Why),
    /// Go on where it was paused
    Resume(Why),
    /// Try an effect again with other data, once the participant has closed the old attempt
    Edit(Edit),
    /// Say how an effect ended; the participant is asked first, and what it knows wins
    Settle(Settle),
    /// The last resort: end it, without a promise of balance
    Abandon(Abandon),
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
    Validate(Validate),
    /// Print the JSON Schema of the language, for editors
    Schema,
    /// Say which recent sagas a new version would have led another way, and where
    Plan(Plan),
    /// Rehearse a definition: every fault at every step, in virtual time; exit 1 if something is found
    DryRun(DryRun),
    /// List what the orchestrator has loaded, and what of it is paused
    Ls(DefinitionList),
    /// Let no saga of it begin, and pause all that are open
    Pause(PauseDefinition),
    /// Let its sagas go on
    Resume(PauseDefinition),
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

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Files such as saga-definitions/order.v1.yaml; their schemas are read beside them
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// The new version, such as saga-definitions/order.v2.yaml
    pub(crate) file: PathBuf,
    /// At most so many sagas that are in flight, and as many that have ended
    #[arg(long, default_value_t = 1_000)]
    pub(crate) count: u32,
    /// Only sagas that are not older: a time (2026-11-21T08:00:00Z) or an age (24h)
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<Since>,
    /// As JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// Only these sagas
    #[arg(value_name = "SAGA")]
    pub(crate) sagas: Vec<SagaId>,
    /// Only sagas that are not older: a time (2026-11-21T08:00:00Z) or an age (24h)
    #[arg(long, value_name = "TIME", conflicts_with = "sagas")]
    pub(crate) since: Option<Since>,
    /// As JSON: a finding a line, then the summary
    #[arg(long)]
    pub(crate) json: bool,
}

/// How long something lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    ms: u64,
}

impl Span {
    /// In seconds.
    pub(crate) const fn seconds(self) -> u64 {
        self.ms / 1_000
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let span = span_ms(text).map(|ms| Self { ms });
        span.ok_or_else(|| "write a time such as 90s, 10m, 2h or 1d".to_owned())
    }
}

/// A moment, or how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    At(Timestamp),
    AgoMs(u64),
}

impl Since {
    /// The moment, seen from `now`.
    pub(crate) fn moment(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::AgoMs(ms) => now.minus_ms(ms),
        }
    }
}

impl FromStr for Since {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match span_ms(text) {
            Some(ms) => Ok(Self::AgoMs(ms)),
            None => text.parse().map(Self::At).map_err(|_| {
                "write a time such as 2026-11-21T08:00:00Z, or an age such as 30m, 24h or 7d".to_owned()
            }),
        }
    }
}

/// `90s`, `10m`, `24h` or `7d` in milliseconds.
fn span_ms(text: &str) -> Option<u64> {
    const UNITS: [(char, u64); 4] = [('s', 1_000), ('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    UNITS.into_iter().find_map(|(unit, ms)| {
        let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(ms)
    })
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
    fn since_is_a_time_or_an_age() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let moment = |text: &str| text.parse::<Since>().map(|since| since.moment(now).to_string());
        assert_eq!(moment("24h").unwrap(), "2026-11-20T08:00:00.000Z");
        assert_eq!(moment("2026-01-02T03:04:05Z").unwrap(), "2026-01-02T03:04:05.000Z");
        for wrong in ["", "h", "24", "-1h", "yesterday", "99999999999999999999d"] {
            assert!(moment(wrong).unwrap_err().contains("24h"), "{wrong}");
        }
    }

    #[test]
    fn a_span_is_a_number_with_a_unit() {
        assert_eq!("10m".parse::<Span>().unwrap().seconds(), 600);
        assert!("10".parse::<Span>().unwrap_err().contains("10m"));
    }

    #[test]
    fn a_leash_takes_flags_of_others() {
        let cli = Cli::try_parse_from(["amends", "leash", "7", "nats-server", "--port", "-1"]).unwrap();
        let Command::Leash(leash) = cli.command else { panic!("{:?}", cli.command) };
        assert_eq!((leash.parent, leash.command.len()), (7, 3));
    }
}
