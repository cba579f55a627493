//! Where settings come from, as data: the file, the environment, flags.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Toml};
use figment::value::{Dict, Value};

use super::ConfigError;
use super::layer::Layer;

/// Environment variables with this prefix are settings: `AMENDS_INVENTORY__DATABASE__URL`.
pub(super) const PREFIX: &str = "AMENDS_";

/// Names the configuration file, unless a flag does.
const FILE_VARIABLE: &str = "AMENDS_CONFIG";

/// Baked into binaries when they are built; somebody's shell may still have it.
const COMMIT_VARIABLE: &str = "AMENDS_COMMIT";

/// The sources of a configuration, lowest first: fallbacks, file, environment, flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    fallbacks: Vec<Given>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    reserved: Vec<String>,
    flags: Vec<Given>,
}

/// One value with its key and where it comes from.
#[derive(Clone, Debug)]
struct Given {
    key: String,
    value: String,
    source: String,
}

impl Sources {
    /// The file (or the one that `AMENDS_CONFIG` names) and the process's environment.
    ///
    /// # Errors
    /// [`ConfigError::Encoding`] when one of our variables is not UTF-8.
    pub fn of_process(file: Option<&Path>) -> Result<Self, ConfigError> {
        let mut environment = Vec::new();
        for (name, value) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                Err(_) if name.starts_with(PREFIX) => return Err(ConfigError::Encoding(name)),
                // Not ours.
                Err(_) => {}
            }
        }
        Ok(Self::new(file, environment))
    }

    /// The file (or the one that `AMENDS_CONFIG` in `environment` names) and this environment.
    #[must_use]
    pub fn new(file: Option<&Path>, environment: Vec<(String, String)>) -> Self {
        let named = environment.iter().find(|(name, _)| name == FILE_VARIABLE).map(|(_, path)| path.into());
        let reserved = vec![FILE_VARIABLE.to_owned(), COMMIT_VARIABLE.to_owned()];
        Self { file: file.map(Path::to_owned).or(named), environment, reserved, ..Self::default() }
    }

    /// These variables begin like settings, but belong to somebody else.
    #[must_use]
    pub fn reserve(mut self, names: &[&str]) -> Self {
        self.reserved.extend(names.iter().map(|name| (*name).to_owned()));
        self
    }

    /// The variable, if it is set, is the default of this key: `DATABASE_URL` of
    /// `orchestrator.database.url`.
    #[must_use]
    pub fn fallback(mut self, key: &str, variable: &str) -> Self {
        if let Some((_, value)) = self.environment.iter().find(|(name, _)| name == variable) {
            let source = format!("env {variable}");
            self.fallbacks.push(Given { key: key.to_owned(), value: value.clone(), source });
        }
        self
    }

    /// A flag of the command line (`--listen`) sets this key.
    #[must_use]
    pub fn flag(mut self, key: &str, value: &str, flag: &str) -> Self {
        let source = format!("flag {flag}");
        self.flags.push(Given { key: key.to_owned(), value: value.to_owned(), source });
        self
    }

    /// The layers, lowest first. Defaults say whether a value that is given as text is one.
    pub(super) fn layers(&self, defaults: &Value) -> Result<Vec<Layer>, ConfigError> {
        let layer = |given: &Given| Layer::of_text(&given.key, &given.value, given.source.clone(), defaults);
        let mut layers: Vec<Layer> = self.fallbacks.iter().map(layer).collect();
        if let Some(path) = &self.file {
            layers.push(Layer::of_file(read(path)?, path));
        }
        for (name, value) in &self.environment {
            if let Some(key) = name.strip_prefix(PREFIX)
                && !self.reserved.contains(name)
            {
                let key = key.to_ascii_lowercase().replace("__", ".");
                layers.push(Layer::of_text(&key, value, format!("env {name}"), defaults));
            }
        }
        layers.extend(self.flags.iter().map(layer));
        Ok(layers)
    }
}

fn read(path: &Path) -> Result<Dict, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| ConfigError::File { path: path.to_owned(), why: error.to_string() })?;
    Toml::from_str(&text)
        .map_err(|error| ConfigError::Syntax { path: path.to_owned(), why: error.to_string() })
}
