//! Waiting for conditions, never for time.
//!
//! Invariant: a wait ends with the condition, or with a dump of what there is to see when nothing has
//! moved for so long that nothing will. The limits are for hangs, not for speed: no test passes or fails
//! by how fast the machine is.

use std::time::{Duration, Instant};

/// Nothing that has not moved for this long will move any more.
const STUCK_AFTER: Duration = Duration::from_secs(90);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Waits until `look` gives something.
///
/// # Panics
/// When it gives nothing for 90 s; with what `dump` says.
pub async fn eventually<T>(
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
    dump: impl AsyncFn() -> String,
) -> T {
    eventually_with_progress(what, async || (look().await, ()), dump).await
}

/// Waits until `look` gives something; each change of the progress beside it renews the patience.
///
/// # Panics
/// When it gives nothing and makes no progress for 90 s; with what `dump` says.
pub async fn eventually_with_progress<T, P: PartialEq>(
    what: &str,
    mut look: impl AsyncFnMut() -> (Option<T>, P),
    dump: impl AsyncFn() -> String,
) -> T {
    let mut moved_at = Instant::now();
    let mut last = None;
    loop {
        let (found, progress) = look().await;
        if let Some(found) = found {
            return found;
        }
        if last.as_ref() != Some(&progress) {
            (last, moved_at) = (Some(progress), Instant::now());
        }
        if moved_at.elapsed() > STUCK_AFTER {
            panic!("stuck: waiting until {what}\n{}", dump().await);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits without a runtime, for processes to end.
pub(crate) fn soon<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < patience, "stuck: waiting until {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}
