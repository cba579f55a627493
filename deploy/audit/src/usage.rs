//! What processes used over time: is it flat (L6)?
//!
//! Pure. The samples come from whoever runs the test: an audit cannot see other machines' processes.
//!
//! Invariant: growth is the middle of the last third against the middle of the first, so that neither a
//! peak nor a slow start is a finding.

use crate::{Invariant, Report};

/// What a process used at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Resident memory, in bytes.
    pub memory_bytes: u64,
    /// Open file descriptors, sockets included.
    pub descriptors: u64,
    /// Connections to databases and broker; 0 where nobody counts them.
    pub connections: u64,
}

/// The samples of one process, in the order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// What it is called.
    pub process: String,
    /// At equal distances. Restarting a process begins a new list.
    pub samples: Vec<Sample>,
    /// Largest growth that counts as flat: 1.5 is half as much again. Allocators keep what a peak took.
    pub growth_max: f64,
    /// Growth below so many bytes is none, whatever the factor: small processes vary.
    pub slack_bytes: u64,
    /// The same for descriptors and connections.
    pub slack_count: u64,
}

/// Fewer samples prove nothing.
const SAMPLES_MIN: usize = 9;

pub(crate) fn check(usage: &Usage, report: &mut Report) {
    let list = |of: fn(&Sample) -> u64| usage.samples.iter().map(of).collect::<Vec<_>>();
    let kinds = [
        ("memory in bytes", list(|sample| sample.memory_bytes), usage.slack_bytes),
        ("file descriptors", list(|sample| sample.descriptors), usage.slack_count),
        ("connections", list(|sample| sample.connections), usage.slack_count),
    ];
    if usage.samples.len() < SAMPLES_MIN {
        return;
    }
    let third = usage.samples.len() / 3;
    for (what, samples, slack) in kinds {
        let first = middle(&samples[..third]);
        let last = middle(&samples[samples.len() - third..]);
        #[expect(clippy::cast_precision_loss, reason = "a factor need not be exact")]
        let grown = last as f64 > first as f64 * usage.growth_max;
        if grown && last > first.saturating_add(slack) {
            let what = format!("{}: {what} grew from {first} to {last}", usage.process);
            report.all(Invariant::L6, what, "its metrics, a heap profile, /proc/PID/fd".to_owned());
        }
    }
}

fn middle(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(memory: impl Iterator<Item = u64>) -> usize {
        let samples =
            memory.map(|memory_bytes| Sample { memory_bytes, descriptors: 20, connections: 4 }).collect();
        let usage =
            Usage { process: "x".to_owned(), samples, growth_max: 1.5, slack_bytes: 1_000, slack_count: 8 };
        let mut report = Report::new(10);
        check(&usage, &mut report);
        report.findings.len()
    }

    #[test]
    fn growth_is_found_and_a_peak_is_not() {
        assert_eq!(findings((0..30).map(|n| 10_000 + n * 1_000)), 1, "a leak");
        assert_eq!(findings((0..30).map(|n| if n == 15 { 90_000 } else { 10_000 })), 0, "a peak");
        assert_eq!(findings((0..30).map(|n| 100 + n * 20)), 0, "within the slack");
        assert_eq!(findings((0..3).map(|n| n * 100_000)), 0, "too few to say");
    }
}
