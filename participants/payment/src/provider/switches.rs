//! How the simulated provider misbehaves, on demand.
//!
//! Chance is a digest of what is asked, not a random number: a run can be repeated, and a decline
//! stays a decline.

use amends_contract::Digest;
use serde::{Deserialize, Serialize};

/// The switches. What a `PUT` leaves out goes back to its default: off.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Switches {
    /// Share of requests (0 to 1) answered 500 before anything is done or stored: a retry may succeed.
    pub failure_rate: f64,
    /// Added to every charge and refund, in milliseconds (at most ten minutes).
    pub latency_ms: u64,
    /// A new charge is made and its answer held back past the client's patience.
    pub timeout_after_charge: bool,
    /// The same of a refund.
    pub timeout_after_refund: bool,
    /// Share of new charges (0 to 1) that are declined, whatever the token. By key, so it is stable.
    pub decline_rate: f64,
    /// Everything but the switches and the lists is answered 503.
    pub down: bool,
    /// New charges fail with a 500 that is stored under their key, so that repeating cannot help.
    pub store_500: bool,
}

impl Switches {
    /// Longest latency, in milliseconds.
    const LATENCY_MS_MAX: u64 = 600_000;

    /// What is wrong with them, if anything: the field and why.
    pub(super) fn problem(&self) -> Option<(&'static str, &'static str)> {
        // Written so that NaN is out of range, too.
        let in_range = |rate: f64| (0.0..=1.0).contains(&rate);
        if !in_range(self.failure_rate) {
            Some(("failure_rate", "must lie between 0 and 1"))
        } else if !in_range(self.decline_rate) {
            Some(("decline_rate", "must lie between 0 and 1"))
        } else if self.latency_ms > Self::LATENCY_MS_MAX {
            Some(("latency_ms", "must be at most 600000"))
        } else {
            None
        }
    }
}

/// Whether something of this probability happens to this text. The same text, the same answer.
pub(super) fn happens(rate: f64, text: &str) -> bool {
    let mut first = [0; 4];
    first.copy_from_slice(&Digest::of(text.as_bytes()).as_bytes()[..4]);
    f64::from(u32::from_be_bytes(first)) < rate * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_has_ends_and_a_middle() {
        let count = |rate| (0..1_000).filter(|n| happens(rate, &n.to_string())).count();
        assert_eq!(count(0.0), 0);
        assert_eq!(count(1.0), 1_000);
        assert!((200..300).contains(&count(0.25)), "{}", count(0.25));
    }

    #[test]
    fn rates_outside_of_their_range_are_named() {
        let with = |failure_rate| Switches { failure_rate, ..Switches::default() };
        assert_eq!(with(1.0).problem(), None);
        assert_eq!(with(1.1).problem().map(|(field, _)| field), Some("failure_rate"));
        assert_eq!(with(f64::NAN).problem().map(|(field, _)| field), Some("failure_rate"));
    }
}
