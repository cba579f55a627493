//! A broken invariant.
//!
//! Invariant: it names what should have held, and the saga in which it did not.

use std::fmt;

use amends_contract::SagaId;

/// What should have held, and what was found instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant, by its number and in a few words.
    pub rule: &'static str,
    /// In which saga.
    pub saga: Option<SagaId>,
    /// What was found.
    pub found: String,
}

impl Violation {
    pub(crate) const fn new(rule: &'static str, saga: SagaId, found: String) -> Self {
        Self { rule, saga: Some(saga), found }
    }

    pub(crate) const fn of_all(rule: &'static str, found: String) -> Self {
        Self { rule, saga: None, found }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.found)?;
        self.saga.map_or(Ok(()), |saga| write!(f, " (saga {saga})"))
    }
}
