//! The reason that an operator, or the owner, gives: it stands in the journal for ever.

use amends_service::Problem;

/// Longest reason, in characters: a paragraph.
const CHARS_MAX: usize = 1_000;

/// A reason may be empty where the owner asks.
pub(super) fn check(reason: &str) -> Result<(), Problem> {
    if reason.chars().count() <= CHARS_MAX {
        return Ok(());
    }
    Err(wrong(&format!("a reason has {CHARS_MAX} characters at most")))
}

/// An operator has to give one.
pub(super) fn require(reason: &str) -> Result<(), Problem> {
    if reason.trim().is_empty() {
        return Err(wrong("say why: whoever reads the journal later wants to know"));
    }
    check(reason)
}

fn wrong(why: &str) -> Problem {
    Problem::bad_request("invalid-body", "the body is JSON but not what is expected here")
        .with_error("#/reason", why)
}
