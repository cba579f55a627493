//! Locks what a batch will touch before it begins: reservations first, then returns,
//! then stock, each in its order.
//!
//! Invariant: every transaction of every process takes its locks in this order, so none waits in a circle.

use std::collections::BTreeSet;

use amends_contract::Command;
use amends_participant::Locks;
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};

use crate::commands::{self, CANCEL_TAKE_BACK, CONFIRM, RELEASE, RESERVE, RESTOCK, TAKE_BACK};
use crate::store;

pub(crate) struct StockLocks;

#[async_trait]
impl Locks for StockLocks {
    async fn lock(&self, db: &DatabaseTransaction, commands: &[&Command]) -> Result<(), DbErr> {
        let (mut reservations, mut orders, mut returns) = (Vec::new(), Vec::new(), Vec::new());
        let mut lines = Vec::new();
        let undone = |command: &Command| command.undoes.as_ref().map(ToString::to_string);
        for command in commands {
            // What cannot be read is rejected by its handler, and touches nothing.
            match command.address.command.as_str() {
                RESERVE => lines.extend(commands::lines(command)),
                CONFIRM => reservations.extend(commands::reservation(command)),
                RELEASE => reservations.extend(undone(command)),
                TAKE_BACK => orders.extend(commands::order(command)),
                CANCEL_TAKE_BACK => returns.extend(undone(command)),
                RESTOCK => returns.extend(commands::goods_return(command)),
                _ => {}
            }
        }
        lines.extend(store::lock_reservations(db, reservations, orders).await?);
        lines.extend(store::returns::lock(db, returns).await?);
        let skus: BTreeSet<&str> = lines.iter().flat_map(|lines| lines.skus()).collect();
        store::shelf(db, skus).await?;
        Ok(())
    }
}
