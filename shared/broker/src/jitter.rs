//! Random spreading of waits, so that what fails together does not come back together.
//!
//! Invariant: a spread wait is never shorter than asked for by more than half, nor zero.

use std::time::Duration;

/// `delay_ms` and up to a fifth more, plus up to 50 ms so that even 0 is spread.
pub(crate) fn spread(delay_ms: u64) -> u64 {
    delay_ms.saturating_add(rand::random_range(1..=delay_ms / 5 + 50))
}

/// The pause before attempt `attempt` (from 0): doubling from 50 ms up to `longest_ms`, half of it random.
pub(crate) fn backoff(attempt: u32, longest_ms: u64) -> Duration {
    let full = 50_u64.saturating_mul(1_u64 << attempt.min(20)).min(longest_ms).max(2);
    Duration::from_millis(rand::random_range(full / 2..=full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bounds() {
        for delay_ms in [0, 1, 49, 5_000] {
            for _ in 0..200 {
                let spread = spread(delay_ms);
                assert!(
                    spread > delay_ms && spread <= delay_ms + delay_ms / 5 + 50,
                    "{delay_ms} -> {spread}"
                );
            }
        }
        for attempt in [0, 3, 10, u32::MAX] {
            for _ in 0..200 {
                let pause = backoff(attempt, 2_000).as_millis();
                assert!((25..=2_000).contains(&pause), "{attempt} -> {pause}");
            }
        }
        assert!(backoff(9, 0).as_millis() <= 2, "a test may ask for hardly any pause");
    }
}
