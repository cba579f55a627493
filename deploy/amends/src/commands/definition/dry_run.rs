//! `amends definition dry-run`: every fault at every step of a definition, in virtual time.
//!
//! Invariant: it needs no service, no broker and no database; the engine and the inbox rules that decide are
//! the ones that run.

use std::{collections::BTreeMap, fs, path::Path};

use amends_contract::Token;
use amends_rehearsal::dry_run::{Finding, HEADING, Report, dry_run, sample};
use amends_server::core::{LoadError, load_file};
use anyhow::{Context, anyhow};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{
    cli::{DryRun, Settings},
    config,
    output::{Output, say},
};

pub(crate) fn run(command: &DryRun, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let name = command.file.display().to_string();
    let horizon_s = config::load(settings)?.value.orchestrator.horizon_s;
    let definition = match load_file(&command.file, horizon_s) {
        Ok(loaded) => loaded.definition,
        Err(LoadError::File { error, .. }) => return Err(error).context(format!("{name} cannot be read")),
        Err(error) => {
            say(&error.to_string());
            return Ok(false);
        }
    };
    for step in &command.allow_left {
        definition.step(step).ok_or_else(|| anyhow!("--allow-left {step}: {name} has no such step"))?;
    }
    let input = match (&command.input, &definition.input_schema) {
        (Some(file), _) => read_json(file)?,
        (None, Some(schema)) => sample::value(schema),
        (None, None) => Value::Object(Map::new()),
    };
    let mut outputs = sample::outputs(&definition);
    if let Some(file) = &command.replies {
        for (step, reply) in read_json::<BTreeMap<Token, Value>>(file)? {
            definition.step(&step).ok_or_else(|| anyhow!("{}: {name} has no step {step}", file.display()))?;
            outputs.insert(step, reply.into());
        }
    }
    let allowed = command.allow_left.iter().cloned().collect();
    let report = dry_run(&definition, &input, &outputs, &allowed).map_err(|why| anyhow!("{name}: {why}"))?;
    if command.json {
        output.json(&report)?;
    } else {
        show(&name, &report, command.input.is_none(), output)?;
    }
    Ok(report.findings.is_empty())
}

fn show(name: &str, report: &Report, made_up: bool, output: &mut Output) -> anyhow::Result<()> {
    if made_up {
        say(&format!("input, made up (give your own with --input): {}", report.input));
    }
    let rows: Vec<Vec<String>> = report.rows.iter().map(amends_rehearsal::dry_run::Row::cells).collect();
    output.table(&HEADING, &rows)?;
    for Finding { cases, example, message, .. } in &report.findings {
        output.line(format_args!("finding: {message}"))?;
        output.line(format_args!("  in {cases} of {} cases, such as: {example}", report.rows.len()))?;
    }
    let (cases, findings) = (report.rows.len(), report.findings.len());
    output.line(match findings {
        0 => format!("{name}: {cases} cases, nothing found"),
        1 => format!("{name}: {cases} cases, 1 finding"),
        _ => format!("{name}: {cases} cases, {findings} findings"),
    })?;
    Ok(())
}

fn read_json<T: DeserializeOwned>(file: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not as expected", file.display()))
}
