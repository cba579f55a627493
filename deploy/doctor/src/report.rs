//! All that was found, and what would be lost.
//!
//! Invariant: strict or not, an error never passes.

use std::collections::BTreeMap;

use crate::{Finding, Level, Loss};

/// All that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// In the order of areas.
    pub findings: Vec<Finding>,
    /// What would be lost in which failure.
    pub losses: Vec<Loss>,
}

impl Report {
    /// Whether the deployment passes: without errors, and in strict judgement without warnings and without
    /// anything that could not be looked at.
    #[must_use]
    pub fn passes(&self, strict: bool) -> bool {
        let worst = self.findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        worst < if strict { Level::Unseen } else { Level::Error }
    }

    /// How many findings there are of each level.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Level, usize> {
        let mut counts = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry(finding.level).or_insert(0) += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Area, finding::Check};

    #[test]
    fn strict_judgement_lets_notes_pass_and_nothing_worse() {
        const CHECK: Check = Check(Area::Broker, "x");
        let report = |finding| Report { findings: vec![CHECK.ok("a"), finding], losses: Vec::new() };
        let passes = |finding| {
            let report = report(finding);
            (report.passes(false), report.passes(true))
        };
        assert_eq!(passes(CHECK.note("a", "b")), (true, true));
        assert_eq!(passes(CHECK.unseen("a", "b")), (true, false));
        assert_eq!(passes(CHECK.warning("a", "b", "c")), (true, false));
        assert_eq!(passes(CHECK.error("a", "b", "c")), (false, false));
    }
}
