//! Payments: one row per charge, for people and lists.
//!
//! It decides nothing: whether a charge was made is what the inbox says, whose rows are written in the
//! same transactions.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payments")]
pub(crate) struct Model {
    /// Effect id of the charge: in time order, and the idempotency key at the provider.
    #[sea_orm(primary_key, auto_increment = false)]
    pub effect: String,
    pub saga: Uuid,
    pub customer: String,
    /// In minor units.
    pub amount: i64,
    pub currency: String,
    pub status: Status,
    pub charge_id: Option<String>,
    pub refund_id: Option<String>,
    /// Why it was declined, failed or not refunded.
    pub code: Option<String>,
    pub created_at_ms: i64,
    pub updated_at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

/// What became of a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It is being made, or its outcome is being found out.
    Charging,
    /// The money was taken.
    Charged,
    /// The provider refused it for good.
    Declined,
    /// It was certainly not made; the saga may ask again.
    NotMade,
    /// It is being given back, or the outcome of that is being found out.
    Refunding,
    /// The money was given back.
    Refunded,
    /// The provider refused to give it back: somebody has to look at it.
    RefundRefused,
}
