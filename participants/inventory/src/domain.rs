//! The rules of stock, without a database.
//!
//! Invariant: a reservation takes all of its lines or none, and never more than is available.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Longest SKU, in bytes.
pub const SKU_BYTES_MAX: usize = 100;

/// Most units in one line or one restocking; far from where sums overflow.
pub const QUANTITY_MAX: i64 = 1_000_000_000;

/// Units per SKU, in the order of SKUs, so that rows are always locked in that order.
pub type Lines = BTreeMap<String, i64>;

/// What is there of one SKU, in units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// In the house, reserved or not.
    pub on_hand: i64,
    /// Promised to orders that have not settled.
    pub reserved: i64,
    /// Sold.
    pub deducted: i64,
    /// All that ever came in.
    pub received: i64,
}

impl Level {
    /// What can still be promised.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }

    /// Whether it adds up.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        self.reserved >= 0
            && self.deducted >= 0
            && self.on_hand >= self.reserved
            && self.on_hand + self.deducted == self.received
    }
}

/// What a reservation changes in a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Promise units.
    Reserve,
    /// Take the promise back.
    Release,
    /// Turn the promise into a sale.
    Deduct,
}

impl Movement {
    /// The level after `quantity` units moved; `None` when there are not that many to move.
    #[must_use]
    pub fn apply(self, level: Level, quantity: i64) -> Option<Level> {
        let moved = match self {
            Self::Reserve if quantity <= level.available() => {
                Level { reserved: level.reserved + quantity, ..level }
            }
            Self::Release if quantity <= level.reserved => {
                Level { reserved: level.reserved - quantity, ..level }
            }
            Self::Deduct if quantity <= level.reserved => Level {
                on_hand: level.on_hand - quantity,
                reserved: level.reserved - quantity,
                deducted: level.deducted + quantity,
                ..level
            },
            _ => return None,
        };
        Some(moved)
    }
}

/// Why lines cannot be reserved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such article.
    #[error("SKU {sku:?} is unknown")]
    UnknownSku {
        /// Which.
        sku: String,
    },
    /// There is not enough of it.
    #[error("SKU {sku:?}: {wanted} wanted, {available} available")]
    OutOfStock {
        /// Which.
        sku: String,
        /// Units asked for.
        wanted: i64,
        /// Units there.
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

/// Whether all lines can be reserved.
///
/// # Errors
/// [`Refusal`] names the first SKU that cannot.
pub fn check(lines: &Lines, levels: &BTreeMap<String, Level>) -> Result<(), Refusal> {
    for (sku, wanted) in lines {
        let Some(level) = levels.get(sku) else {
            return Err(Refusal::UnknownSku { sku: sku.clone() });
        };
        if Movement::Reserve.apply(*level, *wanted).is_none() {
            let (sku, available) = (sku.clone(), level.available());
            return Err(Refusal::OutOfStock { sku, wanted: *wanted, available });
        }
    }
    Ok(())
}

/// One line of a command; what else stands in it, such as a price, is not ours.
#[derive(Debug, Deserialize)]
struct Line {
    sku: String,
    quantity: i64,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    lines: Vec<Line>,
}

/// Reads the lines of a command's data; several lines of one SKU are added up.
///
/// # Errors
/// Says what is wrong with them, and where.
pub fn lines_of(data: &Value) -> Result<Lines, String> {
    let wanted = Wanted::deserialize(data).map_err(|error| error.to_string())?;
    if wanted.lines.is_empty() {
        return Err("lines: at least one is expected".to_owned());
    }
    let mut lines = Lines::new();
    for (index, line) in wanted.lines.into_iter().enumerate() {
        check_sku(&line.sku).map_err(|why| format!("lines/{index}/sku: {why}"))?;
        let sum = lines.entry(line.sku).or_insert(0);
        // Both are at most QUANTITY_MAX, so the sum fits.
        *sum += check_quantity(line.quantity).map_err(|why| format!("lines/{index}/quantity: {why}"))?;
        check_quantity(*sum).map_err(|why| format!("lines/{index}: the sum of its SKU: {why}"))?;
    }
    Ok(lines)
}

/// Checks a SKU.
///
/// # Errors
/// Says what is expected.
pub fn check_sku(sku: &str) -> Result<(), String> {
    if (1..=SKU_BYTES_MAX).contains(&sku.len()) && !sku.contains(char::is_control) {
        Ok(())
    } else {
        Err(format!("1 to {SKU_BYTES_MAX} bytes without control characters are expected"))
    }
}

/// Checks a number of units.
///
/// # Errors
/// Says what is expected.
pub fn check_quantity(quantity: i64) -> Result<i64, String> {
    if (1..=QUANTITY_MAX).contains(&quantity) {
        Ok(quantity)
    } else {
        Err(format!("{quantity} is not from 1 to {QUANTITY_MAX}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn levels(entries: &[(&str, i64, i64)]) -> BTreeMap<String, Level> {
        let level = |(sku, on_hand, reserved): &(&str, i64, i64)| {
            let level = Level { on_hand: *on_hand, reserved: *reserved, deducted: 0, received: *on_hand };
            ((*sku).to_owned(), level)
        };
        entries.iter().map(level).collect()
    }

    #[test]
    fn lines_of_one_sku_are_added_up_and_strangers_ignored() {
        let data = json!({ "lines": [
            { "sku": "b", "quantity": 1, "unit_price": { "amount": 5, "currency": "EUR" } },
            { "sku": "a", "quantity": 2 }, { "sku": "b", "quantity": 3 },
        ], "note": "x" });
        let lines = lines_of(&data).unwrap();
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), [("a".to_owned(), 2), ("b".to_owned(), 4)]);
    }

    #[test]
    fn wrong_lines_are_named() {
        let wrong = |data: Value| lines_of(&data).unwrap_err();
        let line = |sku: &str, quantity: Value| json!({ "lines": [{ "sku": sku, "quantity": quantity }] });
        assert!(wrong(json!({})).contains("lines"));
        assert!(wrong(json!({ "lines": [] })).contains("at least one"));
        assert!(wrong(line("a", json!(0))).starts_with("lines/0/quantity"));
        assert!(wrong(line("a", json!(-1))).starts_with("lines/0/quantity"));
        assert!(wrong(line("a", json!(1.5))).contains("i64"));
        assert!(wrong(line("", json!(1))).starts_with("lines/0/sku"));
        assert!(wrong(line("a\nb", json!(1))).starts_with("lines/0/sku"));
        let both = json!([{ "sku": "a", "quantity": QUANTITY_MAX }, { "sku": "a", "quantity": 1 }]);
        assert!(wrong(json!({ "lines": both })).contains("sum"));
    }

    #[test]
    fn a_refusal_names_the_sku() {
        let stock = levels(&[("a", 5, 4), ("b", 1, 0)]);
        let wanted = |entries: &[(&str, i64)]| {
            let lines = entries.iter().map(|(sku, quantity)| ((*sku).to_owned(), *quantity)).collect();
            check(&lines, &stock).map_err(|refusal| (refusal.code(), refusal.to_string()))
        };
        assert_eq!(wanted(&[("a", 1), ("b", 1)]), Ok(()));
        let short = wanted(&[("a", 2), ("b", 1)]).unwrap_err();
        assert_eq!(short, ("out-of-stock", "SKU \"a\": 2 wanted, 1 available".to_owned()));
        assert_eq!(
            wanted(&[("b", 1), ("z", 1)]).unwrap_err(),
            ("unknown-sku", "SKU \"z\" is unknown".to_owned())
        );
    }

    proptest! {
        #[test]
        fn whatever_moves_it_stays_sound(start in 0_i64..1000,
            moves in proptest::collection::vec((0_u8..3, 1_i64..100), 0..50)) {
            let mut level = Level { on_hand: start, received: start, ..Level::default() };
            for (kind, quantity) in moves {
                let movement = [Movement::Reserve, Movement::Release, Movement::Deduct][usize::from(kind)];
                if let Some(next) = movement.apply(level, quantity) {
                    prop_assert_ne!(next, level);
                    level = next;
                }
                prop_assert!(level.is_sound(), "{:?}", level);
            }
        }
    }
}
