//! Where a service's own database is.
//!
//! Invariant: the URL may hold a password, so `Debug` does not show it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::redact_url;

/// Where a service's own database is. How it is used is its owner's business.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `sqlite://<path>` or `postgres://user:password@host/database`; a PostgreSQL server on the same
    /// machine is faster over its Unix socket: `postgres:///database?host=/run/postgresql`.
    pub url: String,
}

impl DatabaseConfig {
    /// At this URL.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned() }
    }
}

impl fmt::Debug for DatabaseConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseConfig").field("url", &redact_url(&self.url)).finish()
    }
}
