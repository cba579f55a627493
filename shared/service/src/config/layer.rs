//! One source's values, as figment merges them.

use std::path::Path;

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

/// The values of one source.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) values: Dict,
    /// `file <path>`, `env <name>`, `flag <name>`.
    pub(super) source: String,
    /// Key and text of a value that was given as text and of which the defaults do not tell the type.
    guessed: Option<(String, String)>,
}

/// One leaf of a tree of values.
pub(super) struct Flat {
    pub(super) key: String,
    pub(super) value: Value,
}

impl Layer {
    pub(super) fn of_file(values: Dict, path: &Path) -> Self {
        Self { values, source: format!("file {}", path.display()), guessed: None }
    }

    /// One value given as text: text where the default is text, else read as TOML would.
    pub(super) fn of_text(key: &str, text: &str, source: String, defaults: &Value) -> Self {
        let default = defaults.find_ref(key);
        let parsed = || text.parse().unwrap_or_else(|_| Value::from(text));
        let (value, guessed) = match default {
            Some(Value::String(..)) => (Value::from(text), None),
            Some(Value::Empty(..)) | None => (parsed(), Some((key.to_owned(), text.to_owned()))),
            Some(_) => (parsed(), None),
        };
        Self { values: nested(key, value), source, guessed }
    }

    /// Makes text of the value under this key if it was guessed to be something else; `None` if not.
    pub(super) fn correct_guess(&mut self, key: &str) -> Option<()> {
        let (_, text) = self.guessed.take_if(|(guessed, _)| guessed == key)?;
        self.values = nested(key, Value::from(text));
        Some(())
    }
}

fn nested(key: &str, value: Value) -> Dict {
    figment::util::nest(key, value).into_dict().unwrap_or_default()
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// All leaves in the order of keys; an empty table is a leaf.
pub(super) fn flatten(tree: &Value) -> Vec<Flat> {
    fn walk(prefix: &str, value: &Value, leaves: &mut Vec<Flat>) {
        match value {
            Value::Dict(_, fields) if !fields.is_empty() => {
                for (name, field) in fields {
                    let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                    walk(&key, field, leaves);
                }
            }
            leaf => leaves.push(Flat { key: prefix.to_owned(), value: leaf.clone() }),
        }
    }
    let mut leaves = Vec::new();
    walk("", tree, &mut leaves);
    leaves
}
