//! What is wrong with a definition: where, against which rule, and how to mend it.
//!
//! Invariant: a diagnostic points at the text that has to change, and says to what.

use std::fmt;
use std::sync::Arc;

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file, as the caller named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The line as it stands in the file.
    pub snippet: String,
    /// Which rule of the language it breaks.
    pub rule: Rule,
    /// What is wrong, in one sentence.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

/// The rules of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The file is YAML.
    Yaml,
}

/// Everything that is wrong with a definition; never empty. `Display` renders all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    entries: Vec<Diagnostic>,
}

impl Diagnostics {
    /// The mistakes in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.entries.iter()
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        unimplemented!()
    }
}
