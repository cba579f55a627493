//! The checks of one saga, each a function from what is known of it to findings.
//!
//! Invariant: pure; none of them reads anything.

pub(crate) mod books;
pub(crate) mod effects;
pub(crate) mod journal;
pub(crate) mod money;
pub(crate) mod settled;

use crate::Report;
use crate::case::Case;

/// All of them.
pub(crate) fn all(case: &Case<'_>, report: &mut Report) {
    journal::check(case, report);
    effects::check(case, report);
    books::check(case, report);
    money::check(case, report);
    settled::check(case, report);
}
