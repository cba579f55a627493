//! Chance with a seed: a run that failed can be run again.
//!
//! Invariant: the seed is printed before it is used; `SEED=..` in the environment takes its place.

use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64 (Steele, Lea, Flood 2014): enough for choosing moments.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// With the seed from the environment, or a fresh one.
    #[must_use]
    #[allow(clippy::print_stderr, reason = "whoever reads a failed test needs the seed")]
    pub fn new(what: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(now));
        eprintln!("{what}: SEED={seed}");
        Self(seed)
    }

    /// With this seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `limit - 1`.
    ///
    /// # Panics
    /// When `limit` is 0.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let numbers = |seed| {
        let mut dice = Dice::seeded(seed);
        [dice.below(100), dice.below(100), dice.below(100)]
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
}
