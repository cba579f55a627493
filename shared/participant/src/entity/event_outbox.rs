//! The outbox: events of committed effects, to be published, and kept a day in case the broker loses them.
//!
//! Invariant: a row without `due_at_ms` is published.

use sea_orm::entity::prelude::*;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "event_outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    /// The subject without its prefix.
    pub message_type: String,
    /// The message, byte for byte.
    pub envelope: Vec<u8>,
    /// From when on it is to be published; a process that publishes it moves it on.
    pub due_at_ms: Option<i64>,
    pub created_at_ms: i64,
    pub published_at_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
