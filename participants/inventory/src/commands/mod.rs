//! The commands, one a file: parse, ask the domain, write.

mod confirm_stock;
mod release_stock;
mod reserve_stock;

use amends_participant::{HandlerError, Work};

pub(crate) use confirm_stock::{ConfirmStock, reservation};
pub(crate) use release_stock::ReleaseStock;
pub(crate) use reserve_stock::{ReserveStock, lines};

use crate::domain::{Changes, Unsound};
use crate::store;

/// The command's names, as the order saga writes them.
pub(crate) const RESERVE: &str = "reserve-stock";
pub(crate) const RELEASE: &str = "release-stock";
pub(crate) const CONFIRM: &str = "confirm-stock";

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
