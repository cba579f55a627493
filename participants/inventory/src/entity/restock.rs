//! Restockings that came with an idempotency key, so that asking twice adds once.

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "restocks")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub key: String,
    pub sku: String,
    pub quantity: i64,
    pub created_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}
