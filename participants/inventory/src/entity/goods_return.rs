//! Returns, each under the effect id of the command that took the goods back.
//!
//! Invariant: an expected one turns to cancelled or to restocked, once; only then does it touch stock.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

/// A return.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "goods_return")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The saga of the order whose goods come back.
    #[sea_orm(column_name = "order_saga")]
    pub order: String,
    pub state: State,
    /// JSON: quantity by SKU.
    pub lines: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// What became of a return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "lowercase")]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The goods are on their way back.
    Expected,
    /// The return was refused after all.
    Cancelled,
    /// The goods are on the shelf again.
    Restocked,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
