//! `amends definition ..`: what can be known of a definition before it runs, a file for each command.

mod dry_run;
mod plan;
mod schema;
mod validate;

use super::pauses;
use crate::{
    cli::{Definition, PauseDefinition, Settings},
    output::Output,
};

/// Does what the command line says.
pub(crate) fn run(command: &Definition, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    match command {
        Definition::Validate(command) => validate::run(command, settings, output),
        Definition::DryRun(command) => dry_run::run(command, settings, output),
        Definition::Schema => schema::run(output),
        Definition::Plan(command) => super::runtime()?.block_on(plan::run(command, settings, output)),
        Definition::Ls(list) => super::runtime()?.block_on(pauses::ls(list, output)).map(|()| true),
        Definition::Pause(command) => say("pause", command, output),
        Definition::Resume(command) => say("resume", command, output),
    }
}

fn say(verb: &str, command: &PauseDefinition, output: &mut Output) -> anyhow::Result<bool> {
    super::runtime()?.block_on(pauses::say(verb, command, output)).map(|()| true)
}
