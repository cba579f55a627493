//! API keys: who may call, and what they may do.
//!
//! A key is 256 random bits, so one SHA-256 of it is what is stored: a slow password hash protects what
//! people choose and others can guess, and nobody guesses 256 bits. It would only cost each request.
//!
//! Invariant: a key's text exists in the answer to its making and nowhere else.

mod door;
mod secret;

use std::fmt;
use std::str::FromStr;

use amends_store::{ApiKey, NewApiKey, Store};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

pub use door::{Door, Refusal};
pub use secret::{InvalidKey, KeyText};

/// Longest name of a key, in characters: it stands in journals.
const NAME_CHARS_MAX: usize = 100;

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Place, read and cancel orders.
    Order,
    /// See every saga, act on it, and start sagas of any definition.
    Operate,
    /// Everything.
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Order, Self::Operate, Self::Admin];

    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Whether a key with these scopes may do what this one allows.
    #[must_use]
    pub fn is_in(self, scopes: &[String]) -> bool {
        scopes.iter().any(|scope| scope == self.as_str() || scope == Self::Admin.as_str())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a scope: order, operate or admin")]
pub struct InvalidScope(String);

impl FromStr for Scope {
    type Err = InvalidScope;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| InvalidScope(text.chars().take(80).collect()))
    }
}

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A key that may do nothing is a mistake.
    #[error("a key needs at least one scope: order, operate or admin")]
    NoScope,
    /// The name is empty, too long or not printable.
    #[error("{0:?} is no name for a key: 1 to {NAME_CHARS_MAX} printable characters are expected")]
    Name(String),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] amends_store::Error),
}

/// A key that was just made.
#[derive(Debug)]
pub struct Created {
    /// Its text, to be shown this once.
    pub text: KeyText,
    /// What is stored of it.
    pub key: ApiKey,
}

/// Makes a key and stores its hash.
///
/// # Errors
/// [`CreateError`] when the name or the scopes are not usable, or the database says no.
pub async fn create(store: &Store, name: &str, scopes: &[Scope]) -> Result<Created, CreateError> {
    let name = name.trim();
    let printable = !name.is_empty() && !name.chars().any(char::is_control);
    if !printable || name.chars().count() > NAME_CHARS_MAX {
        return Err(CreateError::Name(name.chars().take(NAME_CHARS_MAX).collect()));
    }
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(CreateError::NoScope);
    }
    let text = KeyText::generate();
    let new = NewApiKey {
        id: Uuid::now_v7(),
        name: name.to_owned(),
        prefix: text.prefix().to_owned(),
        hash: text.digest(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
    };
    Ok(Created { key: store.insert_api_key(new).await?, text })
}

/// All keys, oldest first, revoked ones included.
///
/// # Errors
/// When the database does not answer.
pub async fn list(store: &Store) -> Result<Vec<ApiKey>, amends_store::Error> {
    store.api_keys().await
}

/// Revokes the key with this prefix, or this whole key; running processes notice within seconds.
///
/// # Errors
/// [`amends_store::Error::NoSuchKey`]; when the database does not answer.
pub async fn revoke(store: &Store, prefix: &str) -> Result<ApiKey, amends_store::Error> {
    match prefix.parse::<KeyText>() {
        Ok(text) => store.revoke_api_key(text.prefix()).await,
        Err(InvalidKey) => store.revoke_api_key(prefix).await,
    }
}
