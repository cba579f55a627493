//! The figures of one setting, and the medians of several runs of it.
//!
//! Invariant: a figure that was not taken is not there; it is never zero instead.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    latency::Percentiles,
    load::Seen,
    meters::{Costs, Part},
};

/// Everything that belongs to the system itself.
pub(crate) const TOTAL: &str = "total";

/// The figures of one setting.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) sagas: u64,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    pub(crate) latency: Percentiles,
    /// Milliseconds on the processors, by process, and `total` without load and outside world.
    pub(crate) cpu_ms_per_saga: BTreeMap<String, f64>,
    /// The same by what the processes are there for.
    pub(crate) cpu_ms_per_saga_by_part: BTreeMap<String, f64>,
    pub(crate) peak_rss_kib: BTreeMap<String, u64>,
    pub(crate) messages_per_saga: BTreeMap<String, f64>,
    pub(crate) commits_per_saga: BTreeMap<String, f64>,
    /// What only this setting tells.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) facts: BTreeMap<String, f64>,
    pub(crate) wrong: Vec<String>,
}

/// What the floor prints.
#[derive(Debug, Deserialize)]
pub(crate) struct Printed {
    sagas: u64,
    seconds: f64,
    per_second: f64,
    cpu_ms_per_saga: f64,
    #[serde(default)]
    cpu_ms_per_saga_by_component: BTreeMap<String, f64>,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    messages_per_saga: f64,
    commits: u64,
    peak_rss_kib: u64,
}

impl Measured {
    /// Of a setting that has no loop; its figures are facts.
    pub(crate) fn of_facts(name: &str, facts: &[(&str, f64)], wrong: Vec<String>) -> Self {
        let facts = facts.iter().map(|(name, value)| ((*name).to_owned(), rounded(*value))).collect();
        Self { name: name.to_owned(), facts, wrong, ..Self::default() }
    }

    /// Of a load.
    #[expect(clippy::cast_precision_loss, reason = "counts of minutes fit")]
    pub(crate) fn of_load(name: &str, seen: Seen, costs: &Costs) -> Self {
        let per_saga = |count: u64| rounded(count as f64 / seen.counted.max(1) as f64);
        let mut by_process = BTreeMap::new();
        let mut by_part: BTreeMap<String, u64> = BTreeMap::new();
        let mut total = 0;
        for process in &costs.processes {
            by_process.insert(process.name.clone(), per_saga(process.cpu_ms));
            *by_part.entry(part(process.part).to_owned()).or_default() += process.cpu_ms;
            if !matches!(process.part, Part::Outside | Part::Load) {
                total += process.cpu_ms;
            }
        }
        by_process.insert(TOTAL.to_owned(), per_saga(total));
        let commits =
            |process: &crate::meters::Taken| Some((process.name.clone(), per_saga(process.commits?)));
        let seconds = seen.lasted.as_secs_f64();
        let facts = [("refused", seen.refused), ("not ended after the longest wait", seen.overdue)];
        let facts = facts.into_iter().filter(|(_, count)| *count > 0);
        Self {
            name: name.to_owned(),
            sagas: seen.counted,
            seconds: rounded(seconds),
            per_second: rounded(seen.counted as f64 / seconds.max(0.001)),
            latency: seen.latency.percentiles(),
            cpu_ms_per_saga: by_process,
            cpu_ms_per_saga_by_part: by_part.into_iter().map(|(part, ms)| (part, per_saga(ms))).collect(),
            peak_rss_kib: costs.processes.iter().map(|one| (one.name.clone(), one.peak_kib)).collect(),
            messages_per_saga: costs
                .messages
                .iter()
                .map(|(name, count)| ((*name).to_owned(), per_saga(*count)))
                .collect(),
            commits_per_saga: costs.processes.iter().filter_map(commits).collect(),
            facts: facts.map(|(what, count)| (what.to_owned(), count as f64)).collect(),
            wrong: seen.wrong,
        }
    }

    /// Of the floor, with what the broker and the database server beside it took for all of its sagas.
    #[expect(clippy::cast_precision_loss, reason = "counts of minutes fit")]
    pub(crate) fn of_floor(
        name: &str,
        floor: Printed,
        all_sagas: u64,
        broker_ms: u64,
        database_ms: Option<u64>,
    ) -> Self {
        let per_saga = |ms: u64| rounded(ms as f64 / all_sagas.max(1) as f64);
        let orchestrator = floor.cpu_ms_per_saga_by_component.get("orchestrator").copied();
        let mut by_part = BTreeMap::from([(part(Part::Broker).to_owned(), per_saga(broker_ms))]);
        if let Some(orchestrator) = orchestrator {
            by_part.insert(part(Part::Orchestrator).to_owned(), rounded(orchestrator));
            let participants = rounded(floor.cpu_ms_per_saga - orchestrator);
            by_part.insert(part(Part::Participant).to_owned(), participants);
        }
        by_part.extend(database_ms.map(|ms| (part(Part::Database).to_owned(), per_saga(ms))));
        let beside = per_saga(broker_ms + database_ms.unwrap_or(0));
        let mut by_process = BTreeMap::from([
            ("floor".to_owned(), rounded(floor.cpu_ms_per_saga)),
            ("nats-server".to_owned(), per_saga(broker_ms)),
            (TOTAL.to_owned(), rounded(floor.cpu_ms_per_saga + beside)),
        ]);
        by_process.extend(database_ms.map(|ms| ("postgres".to_owned(), per_saga(ms))));
        let Printed { p50_ms, p95_ms, p99_ms, .. } = floor;
        Self {
            name: name.to_owned(),
            sagas: floor.sagas,
            seconds: rounded(floor.seconds),
            per_second: rounded(floor.per_second),
            latency: Percentiles { p50_ms, p95_ms, p99_ms, max_ms: None },
            cpu_ms_per_saga: by_process,
            cpu_ms_per_saga_by_part: by_part,
            peak_rss_kib: BTreeMap::from([("floor".to_owned(), floor.peak_rss_kib)]),
            messages_per_saga: BTreeMap::from([("all".to_owned(), floor.messages_per_saga)]),
            commits_per_saga: BTreeMap::from([("all".to_owned(), per_saga(floor.commits))]),
            ..Self::default()
        }
    }

    /// Milliseconds on the processors for a saga of all processes of one kind; `None` where that is not known.
    pub(crate) fn cpu_of(&self, part: Part) -> Option<f64> {
        self.cpu_ms_per_saga_by_part.get(self::part(part)).copied()
    }

    /// Milliseconds on the processors for a saga of the system as a whole.
    pub(crate) fn cpu(&self) -> Option<f64> {
        self.cpu_ms_per_saga.get(TOTAL).copied()
    }

    /// The medians of several runs of one setting, each figure by itself.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> f64| median(runs.iter().map(figure));
        let maps = |map: fn(&Self) -> &BTreeMap<String, f64>| {
            let names = runs.iter().flat_map(|run| map(run).keys());
            let figure = |name: &String| median(runs.iter().filter_map(|run| map(run).get(name).copied()));
            names.map(|name| (name.clone(), figure(name))).collect()
        };
        let mut peak_rss_kib: BTreeMap<String, u64> = BTreeMap::new();
        for (name, kib) in runs.iter().flat_map(|run| &run.peak_rss_kib) {
            let peak = peak_rss_kib.entry(name.clone()).or_default();
            *peak = (*peak).max(*kib);
        }
        Self {
            name: runs.first().map(|run| run.name.clone()).unwrap_or_default(),
            sagas: runs.iter().map(|run| run.sagas).sum(),
            seconds: runs.iter().map(|run| run.seconds).sum(),
            per_second: of(|run| run.per_second),
            latency: Percentiles {
                p50_ms: of(|run| run.latency.p50_ms),
                p95_ms: of(|run| run.latency.p95_ms),
                p99_ms: of(|run| run.latency.p99_ms),
                max_ms: runs.iter().filter_map(|run| run.latency.max_ms).reduce(f64::max),
            },
            cpu_ms_per_saga: maps(|run| &run.cpu_ms_per_saga),
            cpu_ms_per_saga_by_part: maps(|run| &run.cpu_ms_per_saga_by_part),
            peak_rss_kib,
            messages_per_saga: maps(|run| &run.messages_per_saga),
            commits_per_saga: maps(|run| &run.commits_per_saga),
            facts: maps(|run| &run.facts),
            wrong: runs.iter().flat_map(|run| run.wrong.clone()).collect(),
        }
    }
}

/// The name of a kind of process.
pub(crate) const fn part(part: Part) -> &'static str {
    match part {
        Part::Orchestrator => "orchestrators",
        Part::Participant => "participants",
        Part::Broker => "nats-server",
        Part::Database => "database",
        Part::Outside => "outside",
        Part::Load => "load",
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// Four digits behind the point tell a tenth of a microsecond; more would be noise.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[test]
fn medians_are_taken_of_each_figure() {
    let run = |per_second, cpu| Measured {
        per_second,
        cpu_ms_per_saga: BTreeMap::from([(TOTAL.to_owned(), cpu)]),
        ..Measured::of_facts("a", &[("x", cpu)], Vec::new())
    };
    let median = Measured::median(&[run(10.0, 3.0), run(30.0, 1.0), run(20.0, 2.0)]);
    assert_eq!((median.per_second, median.cpu(), median.facts["x"]), (20.0, Some(2.0), 2.0));
    assert_eq!(median.cpu_of(Part::Broker), None);
}
