//! Configuration: defaults < fallbacks < file < environment < flags, with where each value came from.
//!
//! The only module that knows figment. What can be set is what the default value of the type has.
//!
//! Invariant: a key that nothing reads is an error, never ignored; a secret is never shown.

mod error;
mod layer;
mod redact;
mod sources;
mod unknown;

use std::path::Path;

use figment::Figment;
use figment::providers::Serialized;
use figment::value::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{ConfigError, InvalidValue, UnknownKey};
pub use redact::redact_url;
pub use sources::Sources;

use layer::{Flat, Layer, flatten};

/// A configuration and where it came from.
#[derive(Clone, Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// Every setting in the order of keys, fit to be shown: secrets are hidden.
    pub settings: Vec<Setting>,
}

/// One setting, fit to be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key, such as `orchestrator.http.listen`.
    pub key: String,
    /// Its value as JSON, with secrets hidden.
    pub value: String,
    /// Where it comes from: `default`, `file <path>`, `env <name>` or `flag <name>`.
    pub source: String,
}

/// Loads a configuration from the process's environment, the file (or the one that `AMENDS_CONFIG`
/// names) and flags, each given as key, value and the flag's name.
///
/// # Errors
/// [`ConfigError`] names every key or value that cannot be used, with its source.
pub fn load<T>(file: Option<&Path>, flags: &[(&str, &str, &str)]) -> Result<Loaded<T>, ConfigError>
where
    T: Default + Serialize + DeserializeOwned,
{
    let sources = Sources::of_process(file)?;
    flags.iter().fold(sources, |sources, (key, value, flag)| sources.flag(key, value, flag)).load()
}

impl Sources {
    /// Merges the sources over the type's default.
    ///
    /// # Errors
    /// [`ConfigError`] names every key or value that cannot be used, with its source.
    pub fn load<T>(&self) -> Result<Loaded<T>, ConfigError>
    where
        T: Default + Serialize + DeserializeOwned,
    {
        let defaults = Value::serialize(T::default()).map_err(|error| ConfigError::default(&error))?;
        let mut layers = self.layers(&defaults)?;
        let unknown: Vec<UnknownKey> =
            layers.iter().flat_map(|layer| unknown::keys(&defaults, layer)).collect();
        if !unknown.is_empty() {
            return Err(ConfigError::Unknown(unknown));
        }
        let (figment, value) = loop {
            let figment = merge(&T::default(), &layers);
            match figment.extract() {
                Ok(value) => break (figment, value),
                Err(error) if as_text(&mut layers, &error.path.join(".")) => {}
                Err(error) => return Err(ConfigError::invalid(error)),
            }
        };
        Ok(Loaded { value, settings: settings(&figment)? })
    }
}

/// What stood under a key without default was read as number or boolean: that was wrong for this key, so
/// it may be text. Whether there was such a guess left to be corrected.
fn as_text(layers: &mut [Layer], key: &str) -> bool {
    let corrected = layers.iter_mut().filter_map(|layer| layer.correct_guess(key)).count();
    corrected > 0
}

fn merge<T: Serialize>(defaults: &T, layers: &[Layer]) -> Figment {
    layers.iter().fold(Figment::from(Serialized::defaults(defaults)), |figment, layer| figment.merge(layer))
}

fn settings(figment: &Figment) -> Result<Vec<Setting>, ConfigError> {
    let merged: Value = figment.extract().map_err(ConfigError::invalid)?;
    let setting = |Flat { key, value }: Flat| {
        let source = figment.find_metadata(&key).map_or("default", |metadata| &*metadata.name);
        let source = if source.contains("::") { "default" } else { source }.to_owned();
        let value = redact::shown(&key, &value);
        Setting { key, value, source }
    };
    Ok(flatten(&merged).into_iter().map(setting).collect())
}
