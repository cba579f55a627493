//! What a caller was told when it first came with a key. The keys are written by `commit`, with the saga.

use amends_contract::{Digest, InvalidDigest, InvalidId, SagaId, Timestamp};
use sea_orm::EntityTrait as _;
use uuid::Uuid;

use crate::entity::idempotency::Entity;
use crate::{Error, Store};

/// The first answer to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The saga it started.
    pub saga: SagaId,
    /// What was asked for; another digest under the same key is a mistake of the caller.
    pub body_digest: Digest,
    /// As it was given to the commit.
    pub answer: String,
    /// When.
    pub created_at: Timestamp,
}

impl Store {
    /// What the key of this caller has started; `None` when it is new.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the row is damaged; [`Error::Unavailable`].
    pub async fn idempotency(&self, owner: Uuid, key: &str) -> Result<Option<StoredAnswer>, Error> {
        let Some(row) = Entity::find_by_id((owner, key.to_owned())).one(self.reader()).await? else {
            return Ok(None);
        };
        let unreadable =
            |why: String| Error::Unreadable { table: "idempotency key", row: key.to_owned(), why };
        Ok(Some(StoredAnswer {
            saga: SagaId::new(row.saga_id).map_err(|error: InvalidId| unreadable(error.to_string()))?,
            body_digest: row
                .body_digest
                .parse()
                .map_err(|error: InvalidDigest| unreadable(error.to_string()))?,
            answer: row.answer,
            created_at: Timestamp::from_unix_ms(row.created_at_ms),
        }))
    }
}
