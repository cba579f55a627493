//! What a caller was told when it first came with a key. The keys are written by `commit`, with the saga.

use std::collections::HashSet;

use amends_contract::{Digest, InvalidDigest, InvalidId, SagaId, Timestamp};
use sea_orm::sea_query::Value;
use sea_orm::{DbErr, EntityName as _, EntityTrait as _};
use uuid::Uuid;

use crate::entity::idempotency::Entity;
use crate::{Error, Store, multi};

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
    /// Those of these keys, each with its owner, that have started something.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn known_keys(
        &self,
        keys: impl IntoIterator<Item = (Uuid, String)>,
    ) -> Result<HashSet<(Uuid, String)>, Error> {
        let pairs: Vec<[Value; 2]> =
            keys.into_iter().map(|(owner, key)| [owner.into(), key.into()]).collect();
        let rows: Vec<&[Value]> = pairs.iter().map(<[Value; 2]>::as_slice).collect();
        let tail =
            format!(r#"JOIN {} AS t ON t.owner = v.column1 AND t."key" = v.column2"#, Entity.table_name());
        let head = r#"SELECT t.owner, t."key" FROM"#;
        let found =
            multi::run(self.reader(), self.dialect(), self.config().rows_max, head, &rows, &tail).await?;
        let keys = found.iter().map(|row| Ok((row.try_get("", "owner")?, row.try_get("", "key")?)));
        keys.collect::<Result<_, DbErr>>().map_err(Error::from)
    }

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
