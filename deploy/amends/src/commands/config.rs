//! `amends config show`: every setting, its value, and where it came from.
//!
//! Invariant: secrets come hidden from the loader; nothing here sees them.

use crate::{
    cli::{self, Settings},
    config,
    output::Output,
};

pub(crate) fn run(command: &cli::Config, settings: &Settings, output: &mut Output) -> anyhow::Result<bool> {
    let cli::Config::Show { json } = command;
    let shown = config::load(settings)?.settings;
    if *json {
        output.json(&shown)?;
    } else {
        let rows: Vec<_> =
            shown.into_iter().map(|setting| vec![setting.key, setting.value, setting.source]).collect();
        output.table(&["SETTING", "VALUE", "FROM"], &rows)?;
    }
    Ok(true)
}
