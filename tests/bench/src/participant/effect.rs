//! What a participant has done.

use sea_orm::entity::prelude::*;

/// One effect.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "effect")]
pub(crate) struct Model {
    /// Its effect id: time-ordered, since it begins with the saga's.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// What was asked for.
    pub command: String,
    /// When, in milliseconds since 1970.
    pub made_at_ms: i64,
}

/// It has none.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
