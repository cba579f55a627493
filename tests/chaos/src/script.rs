//! What is done to a system while orders are placed: by a seed's plan, or by a scenario.
//!
//! Invariant: a script only says what comes next; the run does it, ends it, and counts it.

use std::collections::BTreeSet;

use crate::{fault::Realm, plan::Strike};

/// What a script goes by.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since the first order.
    pub(crate) now_ms: u64,
    /// How many orders were placed.
    pub(crate) placed: u64,
    /// Where a fault has not ended.
    pub(crate) busy: BTreeSet<Realm>,
}

/// Says what is done, and when.
pub(crate) trait Script {
    /// The next fault, if its moment has come. It is asked until it has none.
    fn next(&mut self, moment: &Moment) -> Option<Strike>;

    /// Whether no more orders are to be placed; where their number is given, that says it.
    fn is_over(&self, _now_ms: u64) -> bool {
        false
    }
}
