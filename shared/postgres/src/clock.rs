//! A PostgreSQL server's clock, carried on by this machine's between two looks at it.
//!
//! Whoever decides needs to know what time it is, and a question to the server costs as much as a small statement.
//!
//! Invariant: it does not show less than the server's does, so that what the server has found due is due, unless that
//! was set on since the last look. It shows more by the last look's way to and fro at most, and a millisecond; so the
//! next look may show less.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use amends_contract::Timestamp;

/// So many milliseconds more than the server's it shows at most.
pub const CLOCK_AHEAD_MAX_MS: u64 = 52;

/// A look that took longer is good for its moment only.
const WAY_MAX: Duration = Duration::from_millis(50);
/// A machine that was suspended, or whose clock was set, shows so much more or less time than has passed.
const JUMP_MIN: Duration = Duration::from_millis(20);

/// The server's clock.
#[derive(Debug)]
pub struct Clock {
    last: Mutex<Option<Look>>,
    /// How long a look is good for.
    kept: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Look {
    shown: Timestamp,
    /// Before the server was asked.
    at: Instant,
    /// By this machine's clock, which goes on while it is suspended.
    local: SystemTime,
}

impl Clock {
    /// A look at the server's is good for as long as `kept` says; zero is not at all.
    #[must_use]
    pub const fn new(kept: Duration) -> Self {
        Self { last: Mutex::new(None), kept }
    }

    /// What the server's clock shows; it is looked at if the last look does not say so any more.
    ///
    /// # Errors
    /// Those of looking.
    pub async fn now<E>(&self, look: impl Future<Output = Result<Timestamp, E>>) -> Result<Timestamp, E> {
        if let Some(now) = self.carried() {
            return Ok(now);
        }
        let asked_at = Instant::now();
        let now = look.await?;
        self.set(now, asked_at);
        Ok(now)
    }

    fn carried(&self) -> Option<Timestamp> {
        let Look { shown, at, local } = (*self.last())?;
        let since = at.elapsed();
        let has_jumped = local.elapsed().map_or(true, |by_clock| by_clock.abs_diff(since) > JUMP_MIN);
        // What is shown is rounded, and so is what has passed.
        let since_ms = u64::try_from(since.as_millis()).ok()?.checked_add(1)?;
        (since < self.kept && !has_jumped).then(|| shown.plus_ms(since_ms))
    }

    /// The server was asked at `at`, and has answered.
    fn set(&self, shown: Timestamp, at: Instant) {
        let way = at.elapsed();
        let local = SystemTime::now().checked_sub(way);
        *self.last() = local.filter(|_| way < WAY_MAX).map(|local| Look { shown, at, local });
    }

    /// It may be another server's from now on.
    pub fn forget(&self) {
        *self.last() = None;
    }

    fn last(&self) -> MutexGuard<'_, Option<Look>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever runs this may be held up at any place, and then a look is not kept, or not believed.
    fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(answer) = ask() {
                return answer;
            }
        }
    }

    fn looked(clock: &Clock, shown: Timestamp) -> Timestamp {
        until(|| {
            clock.set(shown, Instant::now());
            clock.carried()
        })
    }

    #[test]
    fn it_goes_on_by_itself_and_not_for_ever() {
        let shown = Timestamp::from_unix_ms(1_000);
        let clock = Clock::new(Duration::from_secs(3_600));
        assert_eq!(clock.carried(), None);
        let before = looked(&clock, shown);
        assert!(before > shown, "what is cut off is added");
        until(|| clock.carried().filter(|later| *later > before));
        // The machine was suspended: its clock has gone on, and what measures time has not.
        if let Some(look) = clock.last().as_mut() {
            look.local -= Duration::from_secs(60);
        }
        assert_eq!(clock.carried(), None);
        looked(&clock, shown);
        let ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        clock.set(shown, ago);
        assert_eq!(clock.carried(), None, "a slow look is not kept");
        looked(&clock, shown);
        clock.forget();
        assert_eq!(clock.carried(), None);
        let never = Clock::new(Duration::ZERO);
        never.set(shown, Instant::now());
        assert_eq!(never.carried(), None);
    }
}
