//! What is printed: each bug, as what it was found, and an example.
//!
//! Invariant: a bug has one line, whether it was caught or not.

use std::collections::BTreeMap;

use amends_audit::{Finding, Invariant};

use super::Caught;

/// More of an example than this is cut off.
const EXAMPLE_CHARS_MAX: usize = 110;

/// The table of all bugs.
pub(super) fn table(caught: &[Caught]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["bug", "where", "play", "found as", "for example"]);
    for one in caught {
        let found = found_as(&one.performed.findings);
        let example = one.example().map(example).unwrap_or_default();
        let example = if one.is_caught() { example } else { format!("NOT CAUGHT {example}") };
        table.add_row([one.plant.bug.name(), one.plant.whose, one.plant.play.name, &found, &example]);
    }
    table.to_string()
}

/// The invariants, each with how often.
pub(super) fn found_as(findings: &[Finding]) -> String {
    let mut counts: BTreeMap<Invariant, usize> = BTreeMap::new();
    findings.iter().for_each(|finding| *counts.entry(finding.invariant).or_default() += 1);
    let texts: Vec<_> = counts.iter().map(|(invariant, count)| format!("{invariant} {count}")).collect();
    texts.join(", ")
}

/// A finding without the saga's id, of which there is one in a play.
fn example(finding: &Finding) -> String {
    let saga = finding.saga.map(|saga| format!("{saga}/")).unwrap_or_default();
    let what = if saga.is_empty() { finding.what.clone() } else { finding.what.replace(&saga, "") };
    let text = format!("{}: {what}", finding.invariant);
    text.chars().take(EXAMPLE_CHARS_MAX).collect()
}
