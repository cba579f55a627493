//! What `nats-server --version` says.
//!
//! Invariant: a text that is not exactly such an answer is no version.

use std::fmt;

/// A released version; what stands behind a `-` (a release candidate's name) is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) patch: u32,
}

impl Version {
    /// Reads `nats-server: v2.15.1`.
    pub(crate) fn parse(answer: &str) -> Option<Self> {
        Self::parse_number(answer.trim().strip_prefix("nats-server: v")?)
    }

    /// Reads `2.15.1`.
    pub(crate) fn parse_number(text: &str) -> Option<Self> {
        let number = text.split(['-', '+']).next()?;
        let mut parts = number.split('.').map(|part| part.parse().ok());
        let version = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[test]
fn versions_are_read_and_compared() {
    let version = |text| Version::parse(text).map(|version| version.to_string());
    assert_eq!(version("nats-server: v2.15.1\n").as_deref(), Some("2.15.1"));
    assert_eq!(version("nats-server: v2.12.0-RC.2").as_deref(), Some("2.12.0"));
    assert_eq!(version("nats-server: v2.12"), None);
    assert_eq!(version("nats-server v2.15.1"), None);
    assert_eq!(version(""), None);
    assert!(Version::parse("nats-server: v2.9.10") < Version::parse("nats-server: v2.12.0"));
}
