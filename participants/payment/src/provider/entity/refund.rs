//! Refunds: of one charge there may be several, each under a key of its own.
//!
//! Invariant: together they are no more than the charge; the one task that writes sees to it.

use amends_contract::Timestamp;
use sea_orm::Set;
use sea_orm::entity::prelude::*;

use crate::provider::decide::Refund;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub id: String,
    #[sea_orm(unique)]
    pub key: String,
    pub charge_key: String,
    pub amount: i64,
    pub currency: String,
    pub at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Refund {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            key: row.key,
            charge_key: row.charge_key,
            amount: row.amount,
            currency: row.currency,
            at: Timestamp::from_unix_ms(row.at_ms),
        }
    }
}

impl From<&Refund> for ActiveModel {
    fn from(refund: &Refund) -> Self {
        Self {
            id: Set(refund.id.clone()),
            key: Set(refund.key.clone()),
            charge_key: Set(refund.charge_key.clone()),
            amount: Set(refund.amount),
            currency: Set(refund.currency.clone()),
            at_ms: Set(refund.at.unix_ms()),
            ..Default::default()
        }
    }
}
