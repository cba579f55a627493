//! What each command does, a file each.
//!
//! Invariant: a command gives `true` when all is as it should be, `false` when it has shown what is not,
//! and an error when it could not look.

mod definition;

use std::io;

use tokio::runtime::Runtime;

use crate::{
    cli::{Cli, Command},
    leash,
    nats_server::{self, Places},
    output::{Output, say},
};

/// `EX_CONFIG` of sysexits.h.
const WRONG_CONFIGURATION: u8 = 78;
const FAILED: u8 = 1;

/// Does what the command line says.
pub(crate) fn run(cli: Cli) -> anyhow::Result<bool> {
    match cli.command {
        Command::Leash(leash) => leash::run(&leash).map(|()| true),
        Command::Definition(command) => definition::run(&command, &mut Output::stdout()),
        Command::NatsServer => runtime()?.block_on(nats_server()),
        _ => anyhow::bail!("not there yet"),
    }
}

/// The exit code of an error.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    let _ = (error, WRONG_CONFIGURATION);
    FAILED
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

async fn nats_server() -> anyhow::Result<bool> {
    let found = nats_server::find_or_install(&Places::from_env(), &say).await?;
    Output::stdout().line(found.path.display())?;
    Ok(true)
}
