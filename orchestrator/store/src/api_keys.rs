//! API keys: who may call, kept as hashes.
//!
//! Invariant: a key's text never comes here; a revoked key stays listed.

use std::fmt;

use amends_contract::{Digest, InvalidDigest, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QueryOrder as _};
use uuid::Uuid;

use crate::entity::api_key::{Column, Entity, Model};
use crate::{Error, Store};

/// A key to be stored.
#[derive(Clone)]
pub struct NewApiKey {
    /// Its identity; owns the idempotency keys of its caller. A UUIDv7.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// The readable beginning by which it is found; unique.
    pub prefix: String,
    /// SHA-256 of the whole key.
    pub hash: Digest,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// A stored key.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its identity.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// The readable beginning by which it is found.
    pub prefix: String,
    /// SHA-256 of the whole key; compare in constant time.
    pub hash: Digest,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked; such a key opens nothing.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, about.
    pub last_used_at: Option<Timestamp>,
}

impl Store {
    /// Stores a key.
    ///
    /// # Errors
    /// [`Error::Poison`] when the id or prefix is taken; [`Error::Unavailable`].
    pub async fn insert_api_key(&self, key: NewApiKey) -> Result<ApiKey, Error> {
        let created_at = self.now().await?;
        let row = Model {
            id: key.id,
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            hash: key.hash.to_string(),
            scopes: serde_json::to_string(&key.scopes).unwrap_or_else(|_| unreachable!("a list of strings")),
            created_at_ms: created_at.unix_ms(),
            revoked_at_ms: None,
            last_used_at_ms: None,
        };
        let NewApiKey { id, name, prefix, hash, scopes } = key;
        Entity::insert(row.into_active_model()).exec_without_returning(self.writer()).await?;
        Ok(ApiKey { id, name, prefix, hash, scopes, created_at, revoked_at: None, last_used_at: None })
    }

    /// All keys, oldest first, revoked ones included.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when a row is damaged; [`Error::Unavailable`].
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        let rows = Entity::find().order_by_asc(Column::Id).all(self.reader()).await?;
        rows.into_iter().map(stored).collect()
    }

    /// The key with this prefix, revoked or not.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when its row is damaged; [`Error::Unavailable`].
    pub async fn find_api_key(&self, prefix: &str) -> Result<Option<ApiKey>, Error> {
        let row = Entity::find().filter(Column::Prefix.eq(prefix)).one(self.reader()).await?;
        row.map(stored).transpose()
    }

    /// Revokes the key with this prefix. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`Error::NoSuchKey`]; [`Error::Unavailable`].
    pub async fn revoke_api_key(&self, prefix: &str) -> Result<ApiKey, Error> {
        let now = self.now().await?.unix_ms();
        Entity::update_many()
            .col_expr(Column::RevokedAtMs, Expr::value(now))
            .filter(Column::Prefix.eq(prefix))
            .filter(Column::RevokedAtMs.is_null())
            .exec(self.writer())
            .await?;
        self.find_api_key(prefix).await?.ok_or_else(|| Error::NoSuchKey(prefix.to_owned()))
    }

    /// Notes that a key is in use, at most once per `key_used_every_ms`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn touch_api_key(&self, key: &ApiKey) -> Result<(), Error> {
        let now = self.now().await?;
        let stale = now.minus_ms(self.config().key_used_every_ms);
        if key.last_used_at.is_some_and(|used| used > stale) {
            return Ok(());
        }
        let stale = Column::LastUsedAtMs.is_null().or(Column::LastUsedAtMs.lte(stale.unix_ms()));
        Entity::update_many()
            .col_expr(Column::LastUsedAtMs, Expr::value(now.unix_ms()))
            .filter(Column::Id.eq(key.id))
            .filter(stale)
            .exec(self.writer())
            .await?;
        Ok(())
    }
}

fn stored(row: Model) -> Result<ApiKey, Error> {
    let unreadable = |why: String| Error::Unreadable { table: "API key", row: row.prefix.clone(), why };
    let hash = row.hash.parse().map_err(|error: InvalidDigest| unreadable(error.to_string()))?;
    let scopes = serde_json::from_str(&row.scopes).map_err(|error| unreadable(error.to_string()))?;
    Ok(ApiKey {
        id: row.id,
        name: row.name,
        prefix: row.prefix,
        hash,
        scopes,
        created_at: Timestamp::from_unix_ms(row.created_at_ms),
        revoked_at: row.revoked_at_ms.map(Timestamp::from_unix_ms),
        last_used_at: row.last_used_at_ms.map(Timestamp::from_unix_ms),
    })
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey")
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("scopes", &self.scopes)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}
