//! Places where a test may make the process die: between commit, publication and acknowledgement.
//!
//! Whoever promises that a crash there does no harm is to be killed there, and not by luck.
//!
//! Invariant: nothing of it is in a program that is built without the feature `crash-points`.

/// The variable that says where, as far as this program listens to it.
pub const VARIABLES: &[&str] = if cfg!(feature = "crash-points") { &["AMENDS_CRASH_POINT"] } else { &[] };

/// The transaction of a batch is committed; nobody knows yet.
pub const AFTER_COMMIT: &str = "after_commit";
/// Commands or replies are about to be published.
pub const BEFORE_PUBLISH: &str = "before_publish";
/// The broker has them.
pub const AFTER_PUBLISH: &str = "after_publish";
/// A delivery is about to be acknowledged.
pub const BEFORE_ACK: &str = "before_ack";
/// A batch is handled in part, and nothing of it is committed.
pub const MID_BATCH: &str = "mid_batch";
/// Sagas are in the archive, and not deleted yet.
pub const AFTER_ARCHIVE: &str = "after_archive";

/// Aborts if the environment's `AMENDS_CRASH_POINT` is `<name>`, or `<name>:<n>` on the n-th passing.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
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
pub const fn point(_name: &str) {}
