//! Definitions that operators pause: what they want, and the sagas that do not yet know of it.
//!
//! Invariant: a row says what was wanted last and is never deleted, so that whoever reads it late still
//! pauses, or lets go, what it is about; doing so twice changes nothing.

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use amends_engine::Status;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Set};
use uuid::Uuid;

use crate::entity::definition_pause::{ActiveModel, Column, Entity, Model};
use crate::entity::saga;
use crate::{Error, Store};

/// What was last said about all sagas of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionPause {
    /// The definition's name.
    pub name: Token,
    /// Its version; `None` is all of them.
    pub version: Option<u32>,
    /// Whether its sagas pause. If not, those that did go on.
    pub paused: bool,
    /// Who said so.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// When.
    pub changed_at: Timestamp,
}

impl DefinitionPause {
    /// Whether it is about this definition.
    #[must_use]
    pub fn covers(&self, definition: &DefinitionRef) -> bool {
        self.name == definition.name && self.version.is_none_or(|version| version == definition.version)
    }
}

impl Store {
    /// What was last said about each definition of which something was said.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer; [`Error::Unreadable`].
    pub async fn definition_pauses(&self) -> Result<Vec<DefinitionPause>, Error> {
        let query = Entity::find().order_by_asc(Column::Name).order_by_asc(Column::Version);
        query.all(self.reader()).await?.into_iter().map(read).collect()
    }

    /// Says that the definition's sagas pause, or that they go on. Saying the same again changes nothing, so
    /// that the first one's name and reason stay.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn say_definition_pause(
        &self,
        (name, version): (&Token, Option<u32>),
        paused: bool,
        actor: &str,
        reason: &str,
    ) -> Result<(), Error> {
        let row = ActiveModel {
            name: Set(name.to_string()),
            version: Set(version.map_or(0, i64::from)),
            paused: Set(paused),
            actor: Set(actor.to_owned()),
            reason: Set(reason.to_owned()),
            changed_at_ms: Set(self.now().await?.unix_ms()),
        };
        let differs = Expr::col((Entity, Column::Paused)).ne(paused);
        let changed = [Column::Paused, Column::Actor, Column::Reason, Column::ChangedAtMs];
        let update = OnConflict::columns([Column::Name, Column::Version])
            .update_columns(changed)
            .action_and_where(differs)
            .to_owned();
        Entity::insert(row).on_conflict(update).try_insert().exec_without_returning(self.writer()).await?;
        Ok(())
    }

    /// Up to `limit` sagas with this status that the pause covers and that are not paused, in the order of
    /// their ids, from behind `after` on.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn sagas_to_pause(
        &self,
        pause: &DefinitionPause,
        status: Status,
        after: Option<SagaId>,
        limit: u32,
    ) -> Result<Vec<SagaId>, Error> {
        use saga::Column;
        let mut query = saga::Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Status.eq(status.as_str()))
            .filter(Column::DefinitionName.eq(pause.name.as_str()))
            .filter(Column::Paused.into_expr().not());
        if let Some(version) = pause.version {
            query = query.filter(Column::DefinitionVersion.eq(i64::from(version)));
        }
        if let Some(after) = after {
            query = query.filter(Column::Id.gt(after.uuid()));
        }
        let ids: Vec<Uuid> =
            query.order_by_asc(Column::Id).limit(u64::from(limit)).into_tuple().all(self.reader()).await?;
        Ok(ids.into_iter().filter_map(|id| SagaId::new(id).ok()).collect())
    }
}

fn read(row: Model) -> Result<DefinitionPause, Error> {
    let unreadable =
        |why: String| Error::Unreadable { table: "definition pause", row: row.name.clone(), why };
    Ok(DefinitionPause {
        name: Token::new(&row.name).map_err(|error| unreadable(error.to_string()))?,
        version: match row.version {
            0 => None,
            version => Some(u32::try_from(version).map_err(|error| unreadable(error.to_string()))?),
        },
        paused: row.paused,
        actor: row.actor,
        reason: row.reason,
        changed_at: Timestamp::from_unix_ms(row.changed_at_ms),
    })
}
