//! Reads the definition files as an orchestrator would.

use amends_server::core::{definition_files, load_file};

use crate::facts::{File, Seen};

pub(super) fn of_folder(config: &amends_server::Config) -> Seen<Vec<File>> {
    let files = definition_files(&config.definitions).map_err(|error| error.to_string())?;
    let load = |path: std::path::PathBuf| {
        let loaded = load_file(&path, config.horizon_s);
        let loaded = loaded.map(|loaded| loaded.definition).map_err(|error| error.to_string());
        File { path, loaded }
    };
    Ok(files.into_iter().map(load).collect())
}
