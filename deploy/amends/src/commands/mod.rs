//! What each command does, a file each.
//!
//! Invariant: a command gives `true` when all is as it should be, `false` when it has shown what is not,
//! and an error when it could not look.

mod act;
pub(crate) mod audit;
mod config;
mod dead_letter;
mod definition;
mod doctor;
pub(crate) mod key;
mod mail_catcher;
mod message;
mod migrate;
mod participant;
mod pauses;
mod saga;
mod serve;
mod verify;

use std::io;

use amends_planted::UnknownBug;
use amends_server::core::LoadError;
use amends_service::{config::ConfigError, telemetry::TelemetryError};
use tokio::runtime::Runtime;

use crate::{
    cli::{Cli, Command},
    demo, leash,
    nats_server::{self, Places},
    output::{Output, say},
    role::Role,
};

/// `EX_CONFIG` of sysexits.h.
const WRONG_CONFIGURATION: u8 = 78;
const FAILED: u8 = 1;

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<bool> {
    let Cli { settings, command } = cli;
    let mut output = Output::stdout();
    match command {
        // Replaces the process: nothing may have been started.
        Command::Leash(leash) => leash::run(&leash).map(|()| true),
        Command::Definition(command) => definition::run(&command, &settings, &mut output),
        Command::Audit(command) => runtime()?.block_on(audit::run(&command, &settings, &mut output)),
        Command::Doctor(command) => runtime()?.block_on(doctor::run(&command, &settings, &mut output)),
        Command::Verify(command) => runtime()?.block_on(verify::run(&command, &settings, &mut output)),
        Command::Config(command) => config::run(&command, &settings, &mut output),
        Command::Orchestrator => serve::run(Role::Orchestrator, &settings),
        Command::Inventory => serve::run(Role::Inventory, &settings),
        Command::Payment => serve::run(Role::Payment, &settings),
        Command::Notification => serve::run(Role::Notification, &settings),
        Command::Provider => serve::run(Role::Provider, &settings),
        Command::MailCatcher(command) => runtime()?.block_on(mail_catcher::run(command)),
        Command::Demo(command) => runtime()?.block_on(demo::run(&command)),
        Command::DeadLetter(command) => runtime()?.block_on(dead_letter::run(&command, &mut output)),
        Command::Participant(command) => runtime()?.block_on(participant::run(&command, &mut output)),
        Command::Message(command) => runtime()?.block_on(message::run(&command, &settings, &mut output)),
        Command::Saga(command) => runtime()?.block_on(saga::run(&command, &mut output)),
        Command::Key(command) => runtime()?.block_on(key::run(&command, &settings, &mut output)),
        Command::Migrate(command) => runtime()?.block_on(migrate::run(&command, &settings, &mut output)),
        Command::NatsServer => runtime()?.block_on(nats_server(&mut output)),
    }
}

/// The exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let wrong_configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<TelemetryError>()
            || cause.is::<UnknownBug>()
            || matches!(cause.downcast_ref(), Some(amends_broker::Error::Config(_)))
            || matches!(cause.downcast_ref(), Some(amends_store::Error::Config { .. }))
            || cause.downcast_ref::<LoadError>().is_some_and(LoadError::is_configuration)
            || cause.downcast_ref::<amends_audit::Error>().is_some_and(amends_audit::Error::is_configuration)
    });
    if wrong_configuration { WRONG_CONFIGURATION } else { FAILED }
}

/// The runtime of a command, with a thread for each processor.
fn runtime() -> io::Result<Runtime> {
    provide_tls();
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// What has to be set up once per process.
fn provide_tls() {
    // Whoever was first chose the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

async fn nats_server(output: &mut Output) -> anyhow::Result<bool> {
    let found = nats_server::find_or_install(&Places::from_env(), &say).await?;
    output.line(found.path.display())?;
    Ok(true)
}
