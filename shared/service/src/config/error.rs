//! What can be wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::redact;

/// Why there is no configuration. The text names each place and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not TOML: {why}")]
    Syntax {
        /// Which.
        path: PathBuf,
        /// What and where.
        why: String,
    },
    /// An environment variable is not text.
    #[error("the environment variable {0} is not UTF-8")]
    Encoding(String),
    /// Keys that nothing reads.
    #[error("{}", lines(.0))]
    Unknown(Vec<UnknownKey>),
    /// Values that cannot be used.
    #[error("{}", lines(.0))]
    Invalid(Vec<InvalidValue>),
}

/// A key that nothing reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// As it is written in its source.
    pub key: String,
    /// Where it stands.
    pub source: String,
    /// The known key that looks most like it, as it would be written there.
    pub nearest: Option<String>,
}

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// Its key; empty when no single one is at fault.
    pub key: String,
    /// Where it stands.
    pub source: String,
    /// What is wrong with it.
    pub why: String,
}

impl ConfigError {
    /// The program's own default is at fault.
    pub(super) fn default(error: &figment::Error) -> Self {
        let why = format!("the program's own defaults cannot be read: {error}");
        Self::Invalid(vec![InvalidValue { key: String::new(), source: "default".to_owned(), why }])
    }

    pub(super) fn invalid(error: figment::Error) -> Self {
        Self::Invalid(error.into_iter().map(InvalidValue::from).collect())
    }
}

impl From<figment::Error> for InvalidValue {
    fn from(error: figment::Error) -> Self {
        let key = error.path.join(".");
        let source =
            error.metadata.map_or_else(|| "default".to_owned(), |metadata| metadata.name.to_string());
        // The message quotes the value.
        let why = if redact::is_secret(&key) {
            "is not of the right type".to_owned()
        } else {
            error.kind.to_string()
        };
        Self { key, source, why }
    }
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: there is no setting {}", self.source, self.key)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; do you mean {nearest}?"),
            None => f.write_str("; `config show` lists all there are"),
        }
    }
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.key.as_str() {
            "" => write!(f, "{}: {}", self.source, self.why),
            key => write!(f, "{}: {key}: {}", self.source, self.why),
        }
    }
}

fn lines<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
