//! What comes back: of what was sold, and never more of it.
//!
//! Goods on their way back are nobody's stock. Invariant: what returns of an order put back on the shelf
//! was deducted for that order.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{Change, Changes, Lines, Shelf, Unsound, change_all, short};

/// Why goods are not taken back.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReturnRefusal {
    /// Nothing was ever reserved for the order.
    #[error("nothing is known of that order")]
    UnknownOrder,
    /// Its goods never left: they are reserved only, or were released.
    #[error("the order was not confirmed: there is nothing to bring back")]
    NotSold,
    /// More of a SKU than was sold and has not been returned yet.
    #[error("{}: {wanted} to come back, and {left} of those sold can", short(.sku))]
    MoreThanSold {
        /// Which.
        sku: String,
        /// How many are to come back.
        wanted: i64,
        /// How many of those that were sold are not on their way back, or back, already.
        left: i64,
    },
}

impl ReturnRefusal {
    /// Stable and machine-readable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownOrder => "unknown-order",
            Self::NotSold => "not-sold",
            Self::MoreThanSold { .. } => "more-than-sold",
        }
    }
}

/// Whether these lines can be taken back, given what the order sold and what is back or on its way.
///
/// # Errors
/// [`ReturnRefusal`] names the first SKU (in their order) of which there is too much.
pub fn take_back(sold: &[Lines], back: &[Lines], wanted: &Lines) -> Result<(), ReturnRefusal> {
    if sold.is_empty() {
        return Err(ReturnRefusal::NotSold);
    }
    let mut left: BTreeMap<&str, i64> = BTreeMap::new();
    for (sku, quantity) in sold.iter().flat_map(|lines| &lines.0) {
        let sum = left.entry(sku).or_default();
        *sum = sum.saturating_add(*quantity);
    }
    for (sku, quantity) in back.iter().flat_map(|lines| &lines.0) {
        let sum = left.entry(sku).or_default();
        *sum = sum.saturating_sub(*quantity);
    }
    for (sku, &wanted) in &wanted.0 {
        let left = left.get(sku.as_str()).copied().unwrap_or(0).max(0);
        if wanted > left {
            return Err(ReturnRefusal::MoreThanSold { sku: sku.clone(), wanted, left });
        }
    }
    Ok(())
}

/// Puts goods that came back on the shelf: they are no longer sold.
///
/// # Errors
/// [`Unsound`] when fewer were deducted.
pub fn put_back(shelf: &Shelf, lines: &Lines) -> Result<Changes, Unsound> {
    change_all(shelf, lines, |quantity| Change {
        on_hand: quantity,
        deducted: -quantity,
        ..Change::default()
    })
}
