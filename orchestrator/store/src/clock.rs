//! A PostgreSQL server's clock, carried on by this machine's between two looks at it.
//!
//! Whoever decides needs to know what time it is, and a question to the server costs as much as a small statement.
//!
//! Invariant: it never shows less than the server's does, so what the server has found due is due. It shows more by
//! the last look's way to and fro at most, and a millisecond.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use amends_contract::Timestamp;

/// A look that took longer is good for its moment only.
const WAY_MAX: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Clock {
    last: Mutex<Option<Look>>,
    /// How long a look is good for.
    kept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    shown: Timestamp,
    /// Before the server was asked.
    at: Instant,
}

impl Clock {
    pub(crate) const fn new(kept: Duration) -> Self {
        Self { last: Mutex::new(None), kept }
    }

    /// What the server's clock shows, if the last look is recent enough to say so.
    pub(crate) fn carried(&self) -> Option<Timestamp> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let Look { shown, at } = last?;
        let since = at.elapsed();
        // Both are cut off to whole milliseconds.
        let since_ms = u64::try_from(since.as_millis()).ok()?.checked_add(1)?;
        (since < self.kept).then(|| shown.plus_ms(since_ms))
    }

    /// The server was asked at `at` and has answered.
    pub(crate) fn set(&self, shown: Timestamp, at: Instant) {
        if at.elapsed() < WAY_MAX {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Look { shown, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_on_by_itself_and_not_for_ever() {
        let begun = Instant::now();
        let shown = Timestamp::from_unix_ms(1_000);
        let clock = Clock::new(Duration::from_secs(3_600));
        assert_eq!(clock.carried(), None);
        clock.set(shown, begun);
        let carried = clock.carried().unwrap();
        let most = i64::try_from(begun.elapsed().as_millis()).unwrap() + 1;
        assert!((1_001..=1_000 + most).contains(&carried.unix_ms()), "{carried}");
        let ago = begun.checked_sub(Duration::from_secs(3_600)).unwrap();
        clock.set(shown, ago);
        assert!(clock.carried().unwrap() >= carried, "a slow look changes nothing");
        let never = Clock::new(Duration::ZERO);
        never.set(shown, Instant::now());
        assert_eq!(never.carried(), None);
    }
}
