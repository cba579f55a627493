//! Names that become parts of subjects: participants, commands, steps, sagas.
//!
//! Invariant: a `Token` matches `[a-z0-9-]{1,64}`, so it can stand in a NATS subject, an effect id and
//! a URL without escaping.

use std::{borrow::Borrow, fmt, ops::Deref, str::FromStr};

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::as_text;

/// A name of 1 to 64 characters out of `a-z`, `0-9` and `-`. One of up to 24 takes no memory of its own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(CompactString);

/// The text is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a name: use 1 to 64 characters of a-z, 0-9 and '-'")]
pub struct InvalidToken(pub String);

impl Token {
    /// Longest token, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Checks and takes the text.
    ///
    /// # Errors
    /// [`InvalidToken`] when it does not match `[a-z0-9-]{1,64}`.
    pub fn new(text: &str) -> Result<Self, InvalidToken> {
        if Self::is_valid(text) {
            Ok(Self(CompactString::from(text)))
        } else {
            // An error message is no place for a megabyte of somebody's text.
            Err(InvalidToken(text.chars().take(80).collect()))
        }
    }

    /// Whether the text matches `[a-z0-9-]{1,64}`.
    #[must_use]
    pub fn is_valid(text: &str) -> bool {
        (1..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = InvalidToken;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Deref for Token {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Token {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for Token {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Token {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}
