//! Fuzz targets for everything that reads what others wrote and needs no server for it.
//!
//! Each target is a test; `cargo bolero test --package amends-fuzz <name>` runs it for long (docs/TESTING.md).
//!
//! Invariant: whatever comes in, the answer is a value that means the same when it is written and read again, or an
//! error of one bounded line that names what is wrong. Never a panic, never a hang.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod configuration;
mod definitions;
mod expressions;
mod texts;
mod wire;

/// Longest error, in characters: it stands in logs, journals and dead letters.
const ERROR_CHARS_MAX: usize = 4_000;

/// What an error says has to fit a line of a log, and must not pretend to be two.
#[track_caller]
fn one_bounded_line(error: &str) {
    assert!(!error.is_empty(), "an error that says nothing");
    assert!(error.chars().count() <= ERROR_CHARS_MAX, "{} characters: {error}", error.chars().count());
    assert!(!error.contains(char::is_control), "a line of a log could be forged: {error:?}");
}
