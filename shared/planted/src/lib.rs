//! Bugs that can be planted on purpose, to prove that whoever looks for bugs finds them.
//!
//! Each was a counterexample when the rules were made. A hook reads `if planted(Bug::X)`, in the engine, the participants' SDK
//! and the orchestrator. A bug is planted in one thread for as long as a guard lives (the simulation, the model), or in a
//! whole process by its environment (`make planted`).
//!
//! Invariant: nothing of it is in a program that is built without the feature `planted`: the conditions are constants there.

#[cfg(feature = "planted")]
mod active;
mod bug;

pub use bug::{Bug, UnknownBug};

/// The variable that says which, as far as this program listens to it.
pub const VARIABLES: &[&str] = if cfg!(feature = "planted") { &["AMENDS_PLANTED_BUG"] } else { &[] };

#[cfg(feature = "planted")]
pub use active::{Planted, of_process, plant, planted};

/// Whether the bug is planted: never, for this program was built without the feature `planted`.
#[cfg(not(feature = "planted"))]
#[inline]
#[must_use]
pub const fn planted(_: Bug) -> bool {
    false
}

/// The bug that the environment plants in this process: none, for it was built without the feature `planted`.
///
/// # Errors
/// Never.
#[cfg(not(feature = "planted"))]
pub const fn of_process() -> Result<Option<Bug>, UnknownBug> {
    Ok(None)
}
