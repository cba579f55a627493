//! Dry runs of the order saga, of copies with a flaw, and of sagas with branches, conditions, elements and
//! signals: the tables and findings that their authors see.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod order;
mod shipped;
mod words;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::{fs, path::Path};

use amends_definition::Definition;
use amends_rehearsal::dry_run::{Report, dry_run, sample};
use serde_json::{Value, json};

/// Rehearses a definition with data that are made up for it.
pub(crate) fn rehearse(source: &str, allowed: &[&str]) -> Report {
    rehearse_with(source, None, allowed)
}

/// The same with a given input.
pub(crate) fn rehearse_with(source: &str, input: Option<Value>, allowed: &[&str]) -> Report {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../saga-definitions");
    let schema = |path: &str| fs::read_to_string(folder.join(path)).map_err(|error| error.to_string());
    let name = source.lines().find_map(|line| line.strip_prefix("saga: ")).unwrap();
    let definition = Definition::compile(&format!("{name}.v1.yaml"), source, &schema)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let made_up = || definition.input_schema.as_ref().map_or_else(|| json!({}), sample::value);
    let input = input.unwrap_or_else(made_up);
    let allowed: BTreeSet<_> = allowed.iter().map(|name| name.parse().unwrap()).collect();
    dry_run(&definition, &input, &sample::outputs(&definition), &allowed).unwrap()
}

pub(crate) fn table(report: &Report) -> String {
    let mut text = String::new();
    for row in &report.rows {
        let _ = writeln!(text, "{}", row.cells().join(" | "));
    }
    text
}

pub(crate) fn findings(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = writeln!(
            text,
            "{:?} in {} of {} cases, such as when {}: {}",
            finding.kind,
            finding.cases,
            report.rows.len(),
            finding.example,
            finding.message
        );
    }
    text
}
