//! What a rule has to say.
//!
//! Invariant: a finding names its place and what to do instead, so that nobody has to read the rule.

use std::fmt;

/// One breach of one rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// A path with a line, or a package.
    pub(crate) place: String,
    /// What is wrong there, and what would be right.
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(place: impl fmt::Display, what: impl Into<String>) -> Self {
        Self { place: place.to_string(), what: what.into() }
    }

    pub(crate) fn at_line(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self::new(format_args!("{path}:{line}"), what)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// All of them, one a line.
pub(crate) fn render(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{finding}\n")).collect()
}
