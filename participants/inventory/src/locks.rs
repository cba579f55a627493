//! Locks what a batch will touch before it begins: reservations first, then stock, each in its order.
//!
//! Invariant: every transaction of every process takes its locks in this order, so none waits in a circle.

use std::collections::BTreeSet;

use amends_contract::Command;
use amends_participant::Locks;
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};

use crate::commands::{self, CONFIRM, RELEASE, RESERVE};
use crate::store;

pub(crate) struct StockLocks;

#[async_trait]
impl Locks for StockLocks {
    async fn lock(&self, db: &DatabaseTransaction, commands: &[&Command]) -> Result<(), DbErr> {
        let (mut reservations, mut lines) = (Vec::new(), Vec::new());
        for command in commands {
            // What cannot be read is rejected by its handler, and touches nothing.
            match command.address.command.as_str() {
                RESERVE => lines.extend(commands::lines(command)),
                CONFIRM => reservations.extend(commands::reservation(command)),
                RELEASE => reservations.extend(command.undoes.as_ref().map(ToString::to_string)),
                _ => {}
            }
        }
        lines.extend(store::skus_of(db, reservations).await?);
        let skus: BTreeSet<&str> = lines.iter().flat_map(|lines| lines.skus()).collect();
        store::shelf(db, skus).await?;
        Ok(())
    }
}
