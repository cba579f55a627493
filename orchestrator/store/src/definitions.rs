//! Definitions as they were first loaded: the database wins over files.
//!
//! Invariant: what is stored under a name and version never changes, so a running saga is always driven
//! by what it began with.

use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Digest, Timestamp};
use amends_definition::Definition;
use sea_orm::sea_query::OnConflict;
use sea_orm::{EntityTrait as _, QueryOrder as _, Set, TryInsertResult};

use crate::entity::definition::{ActiveModel, Column, Entity, Model};
use crate::{Error, Store};

/// A definition out of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDefinition {
    /// Its name and version.
    pub reference: DefinitionRef,
    /// SHA-256 of the source.
    pub digest: Digest,
    /// The YAML, byte for byte.
    pub source: String,
    /// The texts of the schemas it names, by the path it names them by.
    pub schemas: BTreeMap<String, String>,
    /// When it was first loaded.
    pub loaded_at: Timestamp,
}

impl Store {
    /// Stores a definition, or checks that it is what is stored already.
    ///
    /// # Errors
    /// [`Error::DefinitionChanged`] with both texts when source or schemas differ from what is stored
    /// under the same name and version; [`Error::Unavailable`].
    pub async fn save_definition(
        &self,
        definition: &Definition,
        schemas: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let row = ActiveModel {
            name: Set(definition.name.to_string()),
            version: Set(i64::from(definition.version)),
            digest: Set(definition.digest.to_string()),
            source: Set(definition.source.to_string()),
            schemas: Set(serde_json::to_string(schemas).unwrap_or_else(|_| unreachable!("a map of strings"))),
            loaded_at_ms: Set(self.now().await?.unix_ms()),
        };
        let inserted = Entity::insert(row)
            .on_conflict(OnConflict::columns([Column::Name, Column::Version]).do_nothing().to_owned())
            .try_insert()
            .exec_without_returning(self.writer())
            .await?;
        if matches!(inserted, TryInsertResult::Inserted(1..)) {
            return Ok(());
        }
        let reference = definition.reference();
        match self.definition(&reference).await? {
            Some(stored) => stored.check(definition, schemas),
            // Nobody deletes definitions; were somebody to, the next start would store it.
            None => Ok(()),
        }
    }

    /// One definition.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when its row is damaged; [`Error::Unavailable`].
    pub async fn definition(&self, reference: &DefinitionRef) -> Result<Option<StoredDefinition>, Error> {
        let key = (reference.name.to_string(), i64::from(reference.version));
        Entity::find_by_id(key).one(self.reader()).await?.map(stored).transpose()
    }

    /// All definitions, in the order of name and version.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer. A damaged row is logged and left out: its
    /// sagas wait, the others go on.
    pub async fn definitions(&self) -> Result<Vec<StoredDefinition>, Error> {
        let query = Entity::find().order_by_asc(Column::Name).order_by_asc(Column::Version);
        let rows = query.all(self.reader()).await?;
        Ok(rows
            .into_iter()
            .filter_map(|row| stored(row).inspect_err(|error| tracing::error!(%error, "left out")).ok())
            .collect())
    }
}

impl StoredDefinition {
    fn check(self, given: &Definition, schemas: &BTreeMap<String, String>) -> Result<(), Error> {
        let changed = |part: &str, stored: Option<&String>, given: Option<&String>| {
            Err(Error::DefinitionChanged {
                definition: self.reference.clone(),
                part: part.to_owned(),
                stored: stored.cloned().unwrap_or_default(),
                given: given.cloned().unwrap_or_default(),
            })
        };
        if self.digest != given.digest {
            return changed("source", Some(&self.source), Some(&given.source.to_string()));
        }
        let differing = self
            .schemas
            .keys()
            .chain(schemas.keys())
            .find(|path| self.schemas.get(*path) != schemas.get(*path));
        match differing {
            None => Ok(()),
            Some(path) => changed(path, self.schemas.get(path), schemas.get(path)),
        }
    }
}

fn stored(row: Model) -> Result<StoredDefinition, Error> {
    let text = format!("{}.v{}", row.name, row.version);
    let unreadable = |why: String| Error::Unreadable { table: "definition", row: text.clone(), why };
    Ok(StoredDefinition {
        reference: text.parse().map_err(|error: amends_contract::InvalidId| unreadable(error.to_string()))?,
        digest: row
            .digest
            .parse()
            .map_err(|error: amends_contract::InvalidDigest| unreadable(error.to_string()))?,
        schemas: serde_json::from_str(&row.schemas).map_err(|error| unreadable(error.to_string()))?,
        source: row.source,
        loaded_at: Timestamp::from_unix_ms(row.loaded_at_ms),
    })
}
