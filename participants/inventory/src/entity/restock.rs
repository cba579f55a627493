//! Restockings under an idempotency key, with their first answer.

use sea_orm::entity::prelude::*;

/// A restocking.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "restock")]
pub struct Model {
    /// The caller's `Idempotency-Key`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub sku: String,
    pub quantity: i64,
    /// The first answer's body (JSON).
    pub answer: String,
    pub created_at_ms: i64,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
