//! Makes findings of facts. Pure: no I/O, so that each judgement can be tested without a server.
//!
//! Invariant: what a fact leaves open is said to be open, never guessed.

mod access;
mod broker;
mod clock;
mod consumers;
mod databases;
mod definitions;
mod machine;
mod postgres;
mod processes;
mod streams;
mod times;

use crate::{Deployment, Finding, facts::Facts, finding::Area};

/// All findings, area by area.
pub(crate) fn all(deployment: &Deployment, facts: &Facts) -> Vec<Finding> {
    let judges = [
        broker::judge,
        streams::judge,
        consumers::judge,
        databases::judge,
        postgres::judge,
        definitions::judge,
        times::judge,
        processes::judge,
        access::judge,
        clock::judge,
        machine::judge,
    ];
    let mut findings: Vec<Finding> = judges.iter().flat_map(|judge| judge(deployment, facts)).collect();
    let place = |finding: &Finding| Area::ALL.iter().position(|area| *area == finding.area);
    findings.sort_by_key(place);
    findings
}

/// Bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A time for people.
pub(crate) fn time(seconds: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("d", 86_400), ("h", 3_600), ("min", 60)];
    match UNITS.iter().find(|(_, unit)| seconds >= *unit && seconds.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{} {name}", seconds / unit),
        None => format!("{seconds} s"),
    }
}

#[test]
fn sizes_and_times_are_written_for_people() {
    assert_eq!(
        (size(1 << 20), size(1_600), size(12)),
        ("1.0 MiB".into(), "1.5 KiB".into(), "12 bytes".into())
    );
    assert_eq!((time(72 * 3600), time(7200), time(90)), ("3 d".into(), "2 h".into(), "90 s".into()));
}
