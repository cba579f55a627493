//! Places where a test may make the process die.
//!
//! Invariant: nothing of it is in a program that is built without the feature `crash-points`.

/// The transaction of a batch is committed; nobody knows yet.
pub(crate) const AFTER_COMMIT: &str = "after_commit";
/// Replies are about to be published.
pub(crate) const BEFORE_PUBLISH: &str = "before_publish";
/// The broker has the replies.
pub(crate) const AFTER_PUBLISH: &str = "after_publish";
/// A delivery is about to be acknowledged.
pub(crate) const BEFORE_ACK: &str = "before_ack";
/// Half of a batch's commands are handled, none is committed.
pub(crate) const MID_BATCH: &str = "mid_batch";

/// Aborts if the environment's `AMENDS_CRASH_POINT` is `<name>`, or `<name>:<n>` on the n-th passing.
#[cfg(feature = "crash-points")]
pub(crate) fn point(name: &str) {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };
    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("AMENDS_CRASH_POINT").ok()?;
        let (name, passing) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), passing.parse().unwrap_or(1)))
    });
    if let Some((wanted, passing)) = wanted
        && wanted == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *passing
    {
        tracing::error!(name, "crash point");
        std::process::abort();
    }
}

/// Nothing: this program was built without the feature `crash-points`.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub(crate) const fn point(_name: &str) {}
