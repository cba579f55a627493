//! `amends definition schema`: the JSON Schema of the language, for editors.

use crate::output::Output;

/// As it lies beside the definitions.
const SCHEMA: &str = include_str!("../../../../../saga-definitions/definition.schema.json");

pub(crate) fn run(output: &mut Output) -> anyhow::Result<bool> {
    output.line(SCHEMA.trim_end())?;
    Ok(true)
}
