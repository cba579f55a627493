//! Which bug is planted, in this thread or in this process.
//!
//! Invariant: a guard's bug goes before the environment's, and the environment is read once.

use std::{cell::Cell, env, sync::OnceLock};

use crate::{Bug, UnknownBug, VARIABLES};

thread_local! {
    static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Plants a bug in this thread until the guard is dropped.
#[must_use]
pub fn plant(bug: Bug) -> Planted {
    Planted { before: ACTIVE.replace(Some(bug)) }
}

/// A planted bug.
#[derive(Debug)]
pub struct Planted {
    before: Option<Bug>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        ACTIVE.set(self.before);
    }
}

/// Whether the bug is planted here.
#[must_use]
pub fn planted(bug: Bug) -> bool {
    // Whoever has a name that is none has been refused at the start.
    ACTIVE.get().or_else(|| of_process().ok().flatten()) == Some(bug)
}

/// The bug that the environment plants in this process.
///
/// # Errors
/// [`UnknownBug`], when there is none of that name.
pub fn of_process() -> Result<Option<Bug>, UnknownBug> {
    static WANTED: OnceLock<Result<Option<Bug>, UnknownBug>> = OnceLock::new();
    WANTED.get_or_init(|| wanted(env::var(VARIABLES[0]).ok().as_deref())).clone()
}

fn wanted(name: Option<&str>) -> Result<Option<Bug>, UnknownBug> {
    name.filter(|name| !name.is_empty()).map(str::parse).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_lives_as_long_as_its_guard() {
        assert!(!planted(Bug::NoTombstone));
        let outer = plant(Bug::NoTombstone);
        {
            let _inner = plant(Bug::RunsDuplicates);
            assert!(planted(Bug::RunsDuplicates) && !planted(Bug::NoTombstone));
        }
        assert!(planted(Bug::NoTombstone));
        drop(outer);
        assert!(!planted(Bug::NoTombstone));
    }

    #[test]
    fn a_name_plants_a_bug_or_is_refused() {
        assert_eq!(wanted(None), Ok(None));
        assert_eq!(wanted(Some("")), Ok(None));
        assert_eq!(wanted(Some("no-tombstone")), Ok(Some(Bug::NoTombstone)));
        assert!(wanted(Some("no-tombstones")).is_err());
    }
}
