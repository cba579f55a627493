//! Refunds that returns asked for: one row per refund, beside the whole refunds of undone charges, which
//! are a payment's own status.
//!
//! It says how much of a charge is spoken for. Invariant: written in the transactions of the inbox's rows,
//! with the payment locked.

use sea_orm::entity::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub(crate) struct Model {
    /// Effect id of the refund: in time order, and the idempotency key at the provider.
    #[sea_orm(primary_key, auto_increment = false)]
    pub effect: String,
    /// Effect id of the charge.
    pub charge: String,
    /// The order's saga.
    #[sea_orm(column_name = "order_saga")]
    pub order: Uuid,
    /// In minor units.
    pub amount: i64,
    pub currency: String,
    pub status: Status,
    pub refund_id: Option<String>,
    /// Why it was refused or not made.
    pub code: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// What became of a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is being made, or its outcome is being found out.
    Refunding,
    /// The money was given back.
    Refunded,
    /// The provider refused it for good.
    Refused,
    /// It was certainly not made; the saga may ask again.
    NotMade,
}
