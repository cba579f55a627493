//! What operators said about participants: that they pause, or go on. A journal, of which nothing is ever
//! deleted or overwritten; the last line about a participant is what is wanted.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "participant_actions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub participant: String,
    /// Counts the lines about one participant, from 1 on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub action: String,
    /// When a pause ends by itself; null: somebody has to end it.
    pub until_ms: Option<i64>,
    pub actor: String,
    pub reason: String,
    pub asked_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
