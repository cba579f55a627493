//! A saga that was here, has ended, and was deleted when its time was over.
//!
//! Invariant: written with the deletion, so that whoever finds neither a saga nor this has found a loss. It is
//! kept as long as participants remember the saga.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deleted_sagas")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// How it had ended.
    pub status: String,
    pub deleted_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
