//! `amends definition validate`: compiles definition files as the orchestrator would.
//!
//! Invariant: a file is good here if and only if an orchestrator loads it; both call the same compiler.

use std::{fs, path::Path};

use amends_definition::Definition;
use anyhow::Context;
use serde_json::json;

use crate::{cli::Validate, output::Output};

pub(crate) fn run(command: &Validate, output: &mut Output) -> anyhow::Result<bool> {
    let Validate { files, json } = command;
    let mut all_good = true;
    for file in files {
        let name = file.display().to_string();
        let source = fs::read_to_string(file).with_context(|| format!("{name} cannot be read"))?;
        let compiled = Definition::compile(&name, &source, &|schema| read_beside(file, schema));
        all_good &= compiled.is_ok();
        match compiled {
            Ok(definition) if *json => output.json(&json!({
                "file": name,
                "definition": definition.reference(),
                "digest": definition.digest,
                "errors": [],
            }))?,
            Ok(definition) => {
                output.line(format_args!(
                    "{name}: {} is good ({})",
                    definition.reference(),
                    definition.digest
                ))?;
            }
            Err(diagnostics) if *json => {
                let errors: Vec<_> = diagnostics
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
                    .collect();
                output.json(&json!({ "file": name, "errors": errors }))?;
            }
            Err(diagnostics) => output.line(&diagnostics)?,
        }
    }
    Ok(all_good)
}

/// Schemas are named relative to the file that names them.
pub(super) fn read_beside(file: &Path, schema: &str) -> Result<String, String> {
    let path = file.parent().unwrap_or(Path::new("")).join(schema);
    fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
}
