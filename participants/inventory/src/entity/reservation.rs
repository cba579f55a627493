//! Reservations: one row per effect that reserved. Its effect id is the reservation's id.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservations")]
pub(crate) struct Model {
    /// In time order, since saga ids are.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    pub saga: Uuid,
    pub status: Status,
    /// JSON: units per SKU.
    pub lines: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The units are promised.
    Active,
    /// The promise was taken back.
    Released,
    /// The units are sold.
    Confirmed,
}
