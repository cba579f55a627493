//! What was last said about all sagas of a definition: that they pause, or that they go on.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "definition_pauses")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// 0 stands for all versions: a key cannot be null.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub paused: bool,
    pub actor: String,
    pub reason: String,
    pub changed_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
