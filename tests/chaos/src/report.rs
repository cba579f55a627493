//! The summary: what was injected how often, how much was in flight then, and what broke meanwhile.
//!
//! Invariant: a violation that names a saga is charged to every fault that was active while this saga
//! may have been; one that names none, to all of its run.

use std::collections::BTreeMap;

use crate::{
    coverage::Coverage,
    fault::Fault,
    run::{Outcome, Struck},
};

/// So long after a fault may a saga still suffer from it, in milliseconds.
const AFTERMATH_MS: u64 = 15_000;

#[derive(Default)]
struct Row {
    times: usize,
    targets: BTreeMap<&'static str, usize>,
    in_flight: Vec<usize>,
    violations: usize,
}

/// What became of one run, in lines.
#[must_use]
pub fn story(outcome: &Outcome) -> String {
    let Outcome { title, accepted, settled_in, violations, .. } = outcome;
    let mut lines = vec![format!("  {accepted} sagas, settled {settled_in:.1?} after the last fault")];
    lines.extend(outcome.failed.iter().map(|failed| format!("  not as planned: {failed}")));
    lines.extend(outcome.notes.iter().map(|(note, count)| format!("  {count} times: {note}")));
    for (name, last) in &outcome.fell {
        lines.push(format!("  ended by itself and was started again: {name}"));
        lines.extend(last.iter().map(|line| format!("    {line}")));
    }
    lines.extend(violations.iter().map(|violation| format!("  VIOLATION: {violation}")));
    if let Some(kept) = &outcome.kept {
        lines.push(format!("  kept in {}\n  run it again with: {}", kept.display(), title.again));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The table of all faults over all runs.
#[must_use]
pub fn table(outcomes: &[Outcome]) -> String {
    let mut rows: BTreeMap<Fault, Row> = BTreeMap::new();
    for outcome in outcomes {
        for struck in &outcome.struck {
            let row = rows.entry(struck.fault).or_default();
            row.times += 1;
            *row.targets.entry(struck.target).or_default() += 1;
            row.in_flight.push(struck.in_flight);
            row.violations += outcome.violations.iter().filter(|text| concerns(struck, text)).count();
        }
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["fault", "times", "sagas in flight", "violations", "targets"]);
    for (fault, row) in rows {
        let least = row.in_flight.iter().min().copied().unwrap_or_default();
        let most = row.in_flight.iter().max().copied().unwrap_or_default();
        let targets: Vec<_> = row.targets.iter().map(|(name, count)| format!("{name} {count}")).collect();
        table.add_row([
            fault.name().to_owned(),
            row.times.to_string(),
            format!("{least} to {most}"),
            row.violations.to_string(),
            targets.join(", "),
        ]);
    }
    table.to_string()
}

/// What was seen.
#[must_use]
pub fn seen(coverage: &Coverage) -> String {
    let lines: Vec<_> = coverage.0.iter().map(|(what, count)| format!("{count:>8}  {what}")).collect();
    lines.join("\n")
}

fn concerns(struck: &Struck, violation: &str) -> bool {
    let Some(started_ms) = violation.split(|c: char| !c.is_ascii_hexdigit() && c != '-').find_map(made_at_ms)
    else {
        return true;
    };
    struck.span_ms.1.saturating_add(AFTERMATH_MS) >= started_ms
        && struck.span_ms.0 <= started_ms + AFTERMATH_MS
}

/// The time in a saga's id (UUIDv7: its first 48 bits).
fn made_at_ms(word: &str) -> Option<u64> {
    let groups: Vec<_> = word.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    let is_id = lengths == [8, 4, 4, 4, 12] && groups[2].starts_with('7');
    is_id.then(|| u64::from_str_radix(&format!("{}{}", groups[0], groups[1]), 16).ok()).flatten()
}

#[test]
fn a_violation_is_charged_to_the_faults_of_its_time() {
    let at = 0x0198_c1f0_6f3a_u64;
    let struck = |span_ms| Struck { fault: Fault::Kill, target: "payment", in_flight: 1, span_ms };
    let text = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10: the provider keeps 5";
    assert!(concerns(&struck((at - 10, at + 10)), text));
    assert!(!concerns(&struck((at - 60_000, at - 50_000)), text));
    assert!(!concerns(&struck((at + 60_000, at + 70_000)), text));
    assert!(concerns(&struck((0, 1)), "stuck: nothing moves"));
}
