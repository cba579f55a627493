//! The commands, one per file.

mod confirm_stock;
mod release_stock;
mod reserve_stock;

use std::collections::BTreeSet;

use amends_contract::Command;
use amends_participant::Locks;
use async_trait::async_trait;
use sea_orm::{DatabaseTransaction, DbErr};

pub(crate) use confirm_stock::ConfirmStock;
pub(crate) use release_stock::ReleaseStock;
pub(crate) use reserve_stock::ReserveStock;

use crate::{domain, store};

/// Locks all stock that a batch will touch, in the order of SKUs.
pub(crate) struct StockLocks;

#[async_trait]
impl Locks for StockLocks {
    async fn lock(&self, db: &DatabaseTransaction, commands: &[&Command]) -> Result<(), DbErr> {
        // A reservation that is made in this very batch has its lines in the batch, too.
        let mut skus: BTreeSet<String> = BTreeSet::new();
        for command in commands {
            skus.extend(domain::lines_of(&command.data).unwrap_or_default().into_keys());
        }
        let ids: Vec<String> =
            commands.iter().filter_map(|command| confirm_stock::reservation_id(command)).collect();
        if !ids.is_empty() {
            skus.extend(store::reserved_lines(db, ids).await?.into_iter().flat_map(domain::Lines::into_keys));
        }
        if skus.is_empty() { Ok(()) } else { store::lock(db, skus).await }
    }
}
