//! Tells known keys from unknown ones, without asking the database each time.
//!
//! Invariant: an answer is remembered for `key_cache_ms` at most, so a revoked key stops within that time;
//! while the database does not answer, nobody new comes in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_contract::Digest;
use amends_store::{ApiKey, Store};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::KeyText;
use crate::config::ApiConfig;

/// Checks keys. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    store: Store,
    ttl: Duration,
    count_max: usize,
    /// By the digest of what was presented, so that no secret lies about in memory.
    seen: Arc<Mutex<HashMap<Digest, Seen>>>,
}

/// What is known of a presented key.
struct Seen {
    /// `None`: it opens nothing.
    key: Option<Arc<ApiKey>>,
    until: Instant,
}

/// Why somebody stays outside.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such key, or it was revoked. Which of both is nobody's business.
    #[error("the API key is not known, or was revoked")]
    Unknown,
    /// The database cannot tell.
    #[error(transparent)]
    Store(#[from] amends_store::Error),
}

impl Door {
    /// Looks keys up in this store.
    #[must_use]
    pub fn new(store: Store, config: &ApiConfig) -> Self {
        Self {
            store,
            ttl: Duration::from_millis(config.key_cache_ms),
            count_max: config.key_cache_count_max,
            seen: Arc::default(),
        }
    }

    /// The stored key behind the text.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn open(&self, text: &str) -> Result<Arc<ApiKey>, Refusal> {
        let Ok(text) = text.parse::<KeyText>() else { return Err(Refusal::Unknown) };
        let digest = text.digest();
        if let Some(known) = self.remembered(digest) {
            return known.ok_or(Refusal::Unknown);
        }
        let stored = self.store.find_api_key(text.prefix()).await?;
        let key = stored.filter(|key| key.revoked_at.is_none() && same(key.hash, digest)).map(Arc::new);
        self.remember(digest, key.clone());
        let key = key.ok_or(Refusal::Unknown)?;
        self.note_use(&key);
        Ok(key)
    }

    fn remembered(&self, digest: Digest) -> Option<Option<Arc<ApiKey>>> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.get(&digest)?;
        (seen.until > Instant::now()).then(|| seen.key.clone())
    }

    fn remember(&self, digest: Digest, key: Option<Arc<ApiKey>>) {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= self.count_max {
            seen.retain(|_, seen| seen.until > now);
        }
        if seen.len() >= self.count_max {
            seen.clear();
        }
        seen.insert(digest, Seen { key, until: now + self.ttl });
    }

    /// Beside the request, which need not wait for it; the store writes once a minute at most.
    fn note_use(&self, key: &Arc<ApiKey>) {
        let (store, key) = (self.store.clone(), Arc::clone(key));
        tokio::spawn(async move {
            if let Err(error) = store.touch_api_key(&key).await {
                tracing::debug!(%error, "the use of an API key could not be noted");
            }
        });
    }
}

fn same(stored: Digest, given: Digest) -> bool {
    stored.as_bytes().ct_eq(given.as_bytes()).into()
}
