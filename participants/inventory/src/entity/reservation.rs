//! Reservations, each under the effect id of the command that made it.
//!
//! Invariant: an active one turns to released or to confirmed, once.

use sea_orm::entity::prelude::*;

/// A reservation.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reservation")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The saga that made it: an order's returns find what it sold by this.
    pub saga: String,
    pub state: State,
    /// JSON: quantity by SKU.
    pub lines: String,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

/// What became of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text")]
pub enum State {
    /// It holds stock.
    #[sea_orm(string_value = "active")]
    Active,
    /// It was let go.
    #[sea_orm(string_value = "released")]
    Released,
    /// It became a deduction.
    #[sea_orm(string_value = "confirmed")]
    Confirmed,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
