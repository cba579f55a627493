//! Locks the payments that a batch will decide about before it begins, in their order.
//!
//! Invariant: two returns of one order see each other, and no two processes wait in a circle.

use amends_contract::Command;
use amends_participant::Locks;
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};

use crate::commands::{self, REFUND_ORDER, REFUND_PAYMENT};
use crate::store;

pub(crate) struct PaymentLocks;

#[async_trait]
impl Locks for PaymentLocks {
    async fn lock(&self, db: &DatabaseTransaction, commands: &[&Command]) -> Result<(), DbErr> {
        let (mut orders, mut charges) = (Vec::new(), Vec::new());
        for command in commands {
            // What cannot be read is rejected by its handler, and touches nothing.
            match command.address.command.as_str() {
                REFUND_ORDER => orders.extend(commands::order(command)),
                REFUND_PAYMENT => charges.extend(command.undoes.as_ref().map(ToString::to_string)),
                _ => {}
            }
        }
        store::locked(db, orders, charges).await?;
        Ok(())
    }
}
