//! The commands, one a file: parse, ask the domain, write.

mod cancel_take_back;
mod confirm_stock;
mod release_stock;
mod reserve_stock;
mod restock;
mod take_back;

use amends_participant::{HandlerError, Work};

pub(crate) use cancel_take_back::CancelTakeBack;
pub(crate) use confirm_stock::{ConfirmStock, reservation};
pub(crate) use release_stock::ReleaseStock;
pub(crate) use reserve_stock::{ReserveStock, lines};
pub(crate) use restock::{Restock, goods_return};
pub(crate) use take_back::{TakeBack, order};

use crate::domain::{Changes, Unsound};
use crate::store;

/// The commands' names, as the order saga and the return of an order write them.
pub(crate) const RESERVE: &str = "reserve-stock";
pub(crate) const RELEASE: &str = "release-stock";
pub(crate) const CONFIRM: &str = "confirm-stock";
pub(crate) const TAKE_BACK: &str = "take-back";
pub(crate) const CANCEL_TAKE_BACK: &str = "cancel-take-back";
pub(crate) const RESTOCK: &str = "restock";

/// Somebody else has written to our tables: nothing is done, and an operator sees why.
impl From<Unsound> for HandlerError {
    fn from(unsound: Unsound) -> Self {
        Self::Internal(unsound.to_string())
    }
}

/// Writes changes that the domain has found to be sound on rows that are locked.
async fn write(work: &Work<'_>, changes: &Changes) -> Result<(), HandlerError> {
    if store::change(work.db(), changes, work.now()).await? {
        Ok(())
    } else {
        Err(HandlerError::Internal("the stock changed under a lock".to_owned()))
    }
}
