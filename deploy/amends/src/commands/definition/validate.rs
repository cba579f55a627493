//! `amends definition validate`: judges definition files as the orchestrator would.
//!
//! Invariant: a file is good here if and only if an orchestrator with the same settings loads it; both call
//! the same code. Only what lies in its database is not looked at: sagas to be called may be there.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use amends_contract::DefinitionRef;
use amends_definition::Definition;
use amends_server::core::{LoadError, definition_files, load_file, unknown_calls};
use anyhow::Context;
use serde_json::{Value, json};

use crate::{
    cli::{Settings, Validate},
    config,
    output::{Output, say},
};

pub(crate) fn run(command: &Validate, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let Validate { files, json } = command;
    let horizon_s = config::load(settings)?.value.orchestrator.horizon_s;
    let (mut all_good, mut good) = (true, Vec::new());
    for file in files {
        let name = file.display();
        match load_file(file, horizon_s) {
            Ok(loaded) => {
                show_good(&name.to_string(), &loaded.definition, *json, output)?;
                good.push(loaded.definition);
            }
            Err(LoadError::File { error, .. }) => {
                return Err(error).context(format!("{name} cannot be read"));
            }
            Err(error) => {
                all_good = false;
                match (&error, *json) {
                    (error, true) => {
                        output.json(&json!({ "file": name.to_string(), "errors": errors(error) }))?;
                    }
                    (LoadError::Invalid(diagnostics), false) => output.line(diagnostics)?,
                    (error, false) => output.line(format_args!("{name}: {error}"))?,
                }
            }
        }
    }
    for call in unknown_calls(good.iter().map(|definition| &**definition), beside(files, horizon_s)?) {
        say(&format!("note: {call}"));
    }
    Ok(all_good)
}

fn show_good(name: &str, definition: &Definition, json: bool, output: &mut Output) -> anyhow::Result<()> {
    let (reference, digest) = (definition.reference(), definition.digest);
    if json {
        output.json(&json!({ "file": name, "definition": reference, "digest": digest, "errors": [] }))?;
    } else {
        output.line(format_args!("{name}: {reference} is good ({digest})"))?;
    }
    Ok(())
}

fn errors(error: &LoadError) -> Vec<Value> {
    let whole = |rule| vec![json!({ "rule": rule, "message": error.to_string() })];
    match error {
        LoadError::Invalid(diagnostics) => diagnostics
            .iter()
            .map(|error| {
                json!({
                    "line": error.line,
                    "column": error.column,
                    "rule": error.rule.code(),
                    "message": error.message,
                    "remedy": error.remedy,
                })
            })
            .collect(),
        LoadError::Deadline { .. } => whole("deadline"),
        LoadError::Schema { .. } => whole("schema"),
        other => whole(if other.is_configuration() { "file" } else { "database" }),
    }
}

/// The sagas in the folders of these files: an orchestrator loads them together. A file that is wrong is
/// nobody's to call; it is told of when it is asked about.
fn beside(files: &[PathBuf], horizon_s: u64) -> Result<Vec<DefinitionRef>, LoadError> {
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    let mut known = Vec::new();
    for folder in folders {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let loaded =
            definition_files(folder)?.into_iter().filter_map(|file| load_file(&file, horizon_s).ok());
        known.extend(loaded.map(|loaded| loaded.definition.reference()));
    }
    Ok(known)
}
