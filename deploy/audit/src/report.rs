//! What an audit found and what it saw.
//!
//! Invariant: all findings are counted, also those beyond the limit up to which they are kept.

use std::collections::BTreeMap;
use std::fmt;

use amends_contract::SagaId;
use serde::Serialize;

use crate::{Counters, Invariant};

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What should hold.
    pub invariant: Invariant,
    /// In which saga it does not; `None` when it is about none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saga: Option<SagaId>,
    /// What is wrong.
    pub what: String,
    /// Where to look.
    pub look: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.invariant)?;
        if let Some(saga) = self.saga {
            write!(f, "saga {saga}: ")?;
        }
        write!(f, "{} ({})", self.what, self.look)
    }
}

/// The result of an audit.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What does not hold, up to [`Expectations::findings_max`](crate::Expectations::findings_max) of each
    /// invariant, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// How many findings there are of each invariant, those that were not kept included.
    pub found: BTreeMap<Invariant, u64>,
    /// What was seen: against vacuity.
    pub counters: Counters,
    /// What was looked at, and what was left out and why: an audit of half the books says so.
    pub looked_at: Vec<String>,
    /// Sagas that an operator abandoned with what they still hold; nothing is promised of those.
    pub left_behind: Vec<String>,
    #[serde(skip)]
    pub(crate) findings_max: usize,
}

impl Report {
    pub(crate) fn new(findings_max: usize) -> Self {
        Self { findings_max, ..Self::default() }
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found.is_empty()
    }

    /// The findings of one invariant that were kept.
    pub fn of(&self, invariant: Invariant) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |finding| finding.invariant == invariant)
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        let count = self.found.entry(finding.invariant).or_default();
        *count += 1;
        if usize::try_from(*count).is_ok_and(|count| count <= self.findings_max) {
            self.findings.push(finding);
        }
    }

    /// A finding about one saga.
    pub(crate) fn saga(&mut self, invariant: Invariant, saga: SagaId, what: String, look: String) {
        self.find(Finding { invariant, saga: Some(saga), what, look });
    }

    /// A finding about no saga in particular.
    pub(crate) fn all(&mut self, invariant: Invariant, what: String, look: String) {
        self.find(Finding { invariant, saga: None, what, look });
    }

    /// What was left behind by an abandoned saga; as many are kept as findings are.
    pub(crate) fn leave(&mut self, what: String) {
        self.counters.left_behind += 1;
        if self.left_behind.len() < self.findings_max {
            self.left_behind.push(what);
        }
    }
}

/// All findings, a line each, then what was seen.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let kept = u64::try_from(self.findings.len()).unwrap_or(u64::MAX);
        let all: u64 = self.found.values().sum();
        if all > kept {
            writeln!(f, "and {} more", all - kept)?;
        }
        write!(f, "{}", self.counters)
    }
}
