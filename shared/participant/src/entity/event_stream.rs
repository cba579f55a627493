//! What we last knew of the broker's event stream: one row.
//!
//! Invariant: `last_seq` is the highest position that was ever seen in the stream created at
//! `created_at_ms`.

use sea_orm::entity::prelude::*;

/// A stream by its name.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_stream")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    pub created_at_ms: i64,
    pub last_seq: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
