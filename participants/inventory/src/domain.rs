//! What reserving, releasing, confirming, restocking and taking back do to stock. Pure.
//!
//! Invariant: all lines or nothing, and never a stock that [`Stock::is_sound`] denies.

mod returns;

use std::collections::BTreeMap;

pub use returns::{ReturnRefusal, put_back, take_back};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest SKU in characters.
pub const SKU_LENGTH_MAX: usize = 64;

/// The stock of one SKU, in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// In the shelf, reserved ones included.
    pub on_hand: i64,
    /// Of those, held by active reservations.
    pub reserved: i64,
    /// Sold and gone. What comes back to the shelf is no longer among them.
    pub deducted: i64,
    /// Ever brought in.
    pub received: i64,
}

impl Stock {
    /// What can still be reserved.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Nothing is negative, nothing is promised twice, nothing is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.reserved >= 0
            && self.reserved <= self.on_hand
            && self.deducted >= 0
            && self.on_hand.checked_add(self.deducted) == Some(self.received)
    }

    /// The stock after a change; `None` if it would not be sound.
    #[must_use]
    pub fn after(&self, change: &Change) -> Option<Self> {
        let after = Self {
            on_hand: self.on_hand.checked_add(change.on_hand)?,
            reserved: self.reserved.checked_add(change.reserved)?,
            deducted: self.deducted.checked_add(change.deducted)?,
            received: self.received.checked_add(change.received)?,
        };
        after.is_sound().then_some(after)
    }
}

/// By how much the stock of one SKU changes, in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// See [`Stock::on_hand`].
    pub on_hand: i64,
    /// See [`Stock::reserved`].
    pub reserved: i64,
    /// See [`Stock::deducted`].
    pub deducted: i64,
    /// See [`Stock::received`].
    pub received: i64,
}

/// Stock by SKU.
pub type Shelf = BTreeMap<String, Stock>;

/// Changes by SKU.
pub type Changes = BTreeMap<String, Change>;

/// How many of what: at least one line, each SKU once, each quantity positive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lines(BTreeMap<String, i64>);

/// One line of an order; of what else it says nothing is known here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many, in pieces.
    pub quantity: i64,
}

/// Why lines cannot be lines of a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidLines {
    /// There is none.
    #[error("there are no lines")]
    None,
    /// One asks for nothing, or less.
    #[error("line {line}: quantity is {quantity}; at least 1 is needed")]
    Quantity {
        /// Its place, from 0.
        line: usize,
        /// What it says.
        quantity: i64,
    },
    /// Together they ask for more of a SKU than can be counted.
    #[error("line {line}: too many of this SKU")]
    TooMany {
        /// Its place, from 0.
        line: usize,
    },
}

impl Lines {
    /// Adds up lines of the same SKU.
    ///
    /// # Errors
    /// [`InvalidLines`] names the first line that cannot be.
    pub fn merge(lines: impl IntoIterator<Item = Line>) -> Result<Self, InvalidLines> {
        let mut merged: BTreeMap<String, i64> = BTreeMap::new();
        for (place, Line { sku, quantity }) in lines.into_iter().enumerate() {
            if quantity < 1 {
                return Err(InvalidLines::Quantity { line: place, quantity });
            }
            let sum = merged.entry(sku).or_default();
            *sum = sum.checked_add(quantity).ok_or(InvalidLines::TooMany { line: place })?;
        }
        if merged.is_empty() { Err(InvalidLines::None) } else { Ok(Self(merged)) }
    }

    /// The SKUs, sorted.
    pub fn skus(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Why stock cannot be reserved.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// There is no such SKU.
    #[error("{}: there is no such SKU", short(.sku))]
    UnknownSku {
        /// Which.
        sku: String,
    },
    /// There is too little of it.
    #[error("{}: {wanted} wanted, {available} available", short(.sku))]
    OutOfStock {
        /// Which.
        sku: String,
        /// How many were asked for.
        wanted: i64,
        /// How many can be had.
        available: i64,
    },
}

impl Refusal {
    /// Stable and machine-readable.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownSku { .. } => "unknown-sku",
            Self::OutOfStock { .. } => "out-of-stock",
        }
    }
}

/// A message is no place for a SKU of a megabyte.
fn short(sku: &str) -> String {
    sku.chars().take(SKU_LENGTH_MAX).collect()
}

/// The stock does not bear a change that it must bear: somebody else has changed it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the stock of {sku} does not have what the reservation holds")]
pub struct Unsound {
    /// Which.
    pub sku: String,
}

/// Holds what the lines ask for: all of it or nothing.
///
/// # Errors
/// [`Refusal`] names the first SKU (in their order) that cannot be had.
pub fn reserve(shelf: &Shelf, lines: &Lines) -> Result<Changes, Refusal> {
    let hold = |(sku, &wanted): (&String, &i64)| {
        let stock = shelf.get(sku).ok_or_else(|| Refusal::UnknownSku { sku: sku.clone() })?;
        let change = Change { reserved: wanted, ..Change::default() };
        match stock.after(&change) {
            Some(_) => Ok((sku.clone(), change)),
            None => Err(Refusal::OutOfStock { sku: sku.clone(), wanted, available: stock.available() }),
        }
    };
    lines.0.iter().map(hold).collect()
}

/// Lets go what a reservation holds.
///
/// # Errors
/// [`Unsound`] when the stock does not hold it.
pub fn release(shelf: &Shelf, lines: &Lines) -> Result<Changes, Unsound> {
    change_all(shelf, lines, |quantity| Change { reserved: -quantity, ..Change::default() })
}

/// Turns what a reservation holds into a deduction.
///
/// # Errors
/// [`Unsound`] when the stock does not hold it.
pub fn confirm(shelf: &Shelf, lines: &Lines) -> Result<Changes, Unsound> {
    change_all(shelf, lines, |quantity| Change {
        on_hand: -quantity,
        reserved: -quantity,
        deducted: quantity,
        received: 0,
    })
}

/// Brings pieces in; `None` when there would be more than can be counted.
#[must_use]
pub fn restock(stock: Stock, quantity: i64) -> Option<Stock> {
    let change = Change { on_hand: quantity, received: quantity, ..Change::default() };
    if quantity < 1 { None } else { stock.after(&change) }
}

fn change_all(shelf: &Shelf, lines: &Lines, change: impl Fn(i64) -> Change) -> Result<Changes, Unsound> {
    let one = |(sku, &quantity): (&String, &i64)| {
        let change = change(quantity);
        let after = shelf.get(sku).and_then(|stock| stock.after(&change));
        after.map(|_| (sku.clone(), change)).ok_or_else(|| Unsound { sku: sku.clone() })
    };
    lines.0.iter().map(one).collect()
}

/// Whether a text can be the SKU of a restocked item: 1 to 64 letters, digits, `-`, `_`, `.`.
#[must_use]
pub fn is_sku(text: &str) -> bool {
    (1..=SKU_LENGTH_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
