//! Stock: one row per SKU. What its columns mean stands at [`Level`](crate::domain::Level).

use sea_orm::entity::prelude::*;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock")]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub sku: String,
    pub on_hand: i64,
    pub reserved: i64,
    pub deducted: i64,
    pub received: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}
