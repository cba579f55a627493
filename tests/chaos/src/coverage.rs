//! What a run has seen: a run in which nothing came late, twice or too early proves nothing.
//!
//! Counted in the journals, which nobody can lose, and in the metrics of processes, which die with them.
//!
//! Invariant: each counter that is required is named in [`REQUIRED`]; the whole of the runs fails if one is
//! zero.

use std::collections::BTreeMap;

use amends_tests::System;
use serde_json::Value;

/// What all runs together must have seen.
pub const REQUIRED: [&str; 8] = [
    "completed",
    "compensated",
    "cancelled by the owner",
    "late replies",
    "tombstones",
    "conflicts of commits",
    "redeliveries",
    "sent again",
];

/// Counters of all processes that matter here, and what they count for.
const METRICS: [(&str, &str); 2] = [
    ("amends_commit_conflicts_total", "conflicts of commits"),
    ("amends_broker_redelivered_total", "redeliveries"),
];

/// Counters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(pub BTreeMap<String, u64>);

impl Coverage {
    /// Counts something.
    pub fn add(&mut self, what: &str, count: u64) {
        *self.0.entry(what.to_owned()).or_default() += count;
    }

    /// Takes another run's counters in.
    pub fn absorb(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            self.add(what, *count);
        }
    }

    /// What should have been seen and was not.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        REQUIRED.into_iter().filter(|what| self.0.get(*what).is_none_or(|count| *count == 0)).collect()
    }

    /// Counts in the journal of a saga.
    pub fn read_journal(&mut self, entries: &[Value]) {
        let mut has_turned = false;
        for entry in entries {
            let input = &entry["input"];
            if input["kind"] == "reply" {
                let is_action = input["effect"].as_str().is_some_and(|effect| effect.contains("/do/"));
                self.add("late replies", u64::from(has_turned && is_action));
                let outcome = input["outcome"]["outcome"].as_str();
                self.add("tombstones", u64::from(matches!(outcome, Some("cancelled" | "nothing_to_undo"))));
                self.add("redeliveries", u64::from(input["cause"]["delivery"].as_u64() > Some(1)));
                self.add("sent again", u64::from(input["send_no"].as_u64() > Some(1)));
            }
            let decisions = entry["decisions"].as_array().map(Vec::as_slice).unwrap_or_default();
            for decision in decisions {
                has_turned |= decision["decision"] == "turned";
                let by_owner = decision["failure"]["code"] == "cancelled";
                self.add("cancelled by the owner", u64::from(decision["decision"] == "turned" && by_owner));
                if decision["decision"] == "done" {
                    self.add(decision["ending"].as_str().unwrap_or("ended somehow"), 1);
                }
            }
        }
    }

    /// Reads the journals of all these sagas.
    pub async fn read_sagas(&mut self, system: &System, ids: impl Iterator<Item = &str>) {
        let authorization = system.authorization();
        for id in ids {
            let url = system.admin(&format!("/v1/sagas/{id}/journal?limit=200"));
            let answer = system.client.get(&url, &[("authorization", &authorization)]).await;
            self.read_journal(answer["entries"].as_array().map(Vec::as_slice).unwrap_or_default());
        }
    }
}

/// Counters of a process; it begins anew with each life of it.
#[derive(Default)]
pub struct Meters {
    last: BTreeMap<(String, String), u64>,
}

impl Meters {
    /// Takes what a process says of itself, and adds what is new.
    pub fn read(&mut self, process: &str, text: &str, coverage: &mut Coverage) {
        for (metric, what) in METRICS {
            let count = sum(text, metric);
            let last = self.last.entry((process.to_owned(), metric.to_owned())).or_default();
            // Less than before: it has died and counts from zero.
            coverage.add(what, if count >= *last { count - *last } else { count });
            *last = count;
        }
    }
}

/// The sum over all labels of a counter, as Prometheus' text says it.
fn sum(text: &str, metric: &str) -> u64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let is_it = rest.starts_with([' ', '{']);
        is_it.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok()).flatten()
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole numbers")]
    let sum = text.lines().filter_map(value).sum::<f64>() as u64;
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_goes_on_after_a_restart() {
        let (mut meters, mut coverage) = (Meters::default(), Coverage::default());
        let text = |count| format!("# TYPE x counter\namends_commit_conflicts_total {count}\n");
        for count in [3, 5, 2] {
            meters.read("orchestrator", &text(count), &mut coverage);
        }
        assert_eq!(coverage.0["conflicts of commits"], 7);
        assert_eq!(sum("a_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 9\n", "a_total"), 5);
    }

    #[test]
    fn what_was_not_seen_is_named() {
        assert_eq!(Coverage::default().missing(), REQUIRED);
    }
}
