//! Stock by SKU. Invariant: held by the table itself, see the migration's checks.

use sea_orm::entity::prelude::*;

use crate::domain::Stock;

/// The stock of one SKU, in pieces.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stock")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub sku: String,
    pub on_hand: i64,
    pub reserved: i64,
    pub deducted: i64,
    pub received: i64,
    pub updated_at_ms: i64,
}

impl Model {
    pub(crate) const fn stock(&self) -> Stock {
        Stock {
            on_hand: self.on_hand,
            reserved: self.reserved,
            deducted: self.deducted,
            received: self.received,
        }
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
