//! Charges: taken, or refused with a code. The card token is not kept.

use amends_contract::Timestamp;
use sea_orm::Set;
use sea_orm::entity::prelude::*;

use crate::provider::decide::Charge;

#[sea_orm::model]
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "charges")]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub seq: i64,
    pub id: String,
    #[sea_orm(unique)]
    pub key: String,
    pub status: String,
    pub amount: i64,
    pub currency: String,
    pub customer: String,
    pub at_ms: i64,
}

impl ActiveModelBehavior for ActiveModel {}

impl From<Model> for Charge {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            key: row.key,
            status: row.status,
            amount: row.amount,
            currency: row.currency,
            customer: row.customer,
            at: Timestamp::from_unix_ms(row.at_ms),
        }
    }
}

impl From<&Charge> for ActiveModel {
    fn from(charge: &Charge) -> Self {
        Self {
            id: Set(charge.id.clone()),
            key: Set(charge.key.clone()),
            status: Set(charge.status.clone()),
            amount: Set(charge.amount),
            currency: Set(charge.currency.clone()),
            customer: Set(charge.customer.clone()),
            at_ms: Set(charge.at.unix_ms()),
            ..Default::default()
        }
    }
}
