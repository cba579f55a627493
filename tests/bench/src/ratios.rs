//! How the product stands beside the floor of the same run: the machine changes from hour to hour, ratios less.
//!
//! Invariant: only what was measured with the same database and the same number in flight is compared; a ratio is
//! shown beside what is aimed at, and judged by whoever reads it.

use comfy_table::{Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use crate::{measured::Measured, meters::Part};

/// A figure beside the floor's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) of: String,
    pub(crate) what: &'static str,
    pub(crate) ours: f64,
    pub(crate) floor: Option<f64>,
    /// Ours by the floor's; or ours alone, where it is a ratio already.
    pub(crate) ratio: f64,
    /// What is aimed at.
    pub(crate) aim: &'static str,
}

/// All that can be compared.
pub(crate) fn of(all: &[Measured]) -> Vec<Ratio> {
    let find = |name: &str| all.iter().find(|one| one.name == name && one.sagas > 0);
    let mut ratios = Vec::new();
    for database in ["sqlite", "postgres"] {
        for in_flight in [1, 64, 500] {
            let ours = find(&format!("books/{database}/subject/closed-{in_flight}"));
            let floor = find(&format!("floor/{database}/each/closed-{in_flight}"));
            let (Some(ours), Some(floor)) = (ours, floor) else { continue };
            let of = format!("{database}, {in_flight} in flight");
            ratios.extend(compare(&of, in_flight, ours, floor));
            // What is left when both carry the same data is code.
            if let Some(laden) = find(&format!("{}/rows", floor.name)) {
                let beside = compare(&format!("{of}, floor laden"), in_flight, ours, laden).into_iter();
                let compared = beside.filter(|ratio| ratio.floor.is_some());
                ratios.extend(compared.map(|ratio| Ratio { aim: "", ..ratio }));
            }
        }
    }
    ratios
}

fn compare(of: &str, in_flight: usize, ours: &Measured, floor: &Measured) -> Vec<Ratio> {
    let many = in_flight >= 500;
    let aim = |aim: &'static str| if many { aim } else { "" };
    let beside = |what, of_one: fn(&Measured) -> Option<f64>, aim| {
        let (ours, floor) = (of_one(ours)?, of_one(floor)?);
        Some(Ratio { of: of.to_owned(), what, ours, floor: Some(floor), ratio: ours / floor, aim })
    };
    let broker = |one: &Measured| Some(one.cpu_of(Part::Orchestrator)? / one.cpu_of(Part::Broker)?);
    let latency = |what, ours, aim| Ratio { of: of.to_owned(), what, ours, floor: None, ratio: ours, aim };
    let mut ratios: Vec<_> = [
        beside("sagas/s", |one| Some(one.per_second), aim(">= 0.70")),
        beside("CPU ms/saga", Measured::cpu, aim("<= 1.60")),
        broker(ours).map(|ratio| Ratio {
            of: of.to_owned(),
            what: "CPU of the orchestrator / of nats-server",
            ours: ratio,
            floor: broker(floor),
            ratio,
            aim: aim("<= 1.20"),
        }),
        beside("p50 ms", |one| Some(one.latency.p50_ms), if in_flight == 1 { "<= 1.60" } else { "" }),
    ]
    .into_iter()
    .flatten()
    .collect();
    if many {
        ratios.push(latency("p50 ms, by itself", ours.latency.p50_ms, "< 300"));
        ratios.push(latency("p99 ms, by itself", ours.latency.p99_ms, "< 700"));
    }
    ratios
}

/// For people.
pub(crate) fn table(ratios: &[Ratio]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["", "what", "ours", "floor", "ratio", "aim"]);
    for Ratio { of, what, ours, floor, ratio, aim } in ratios {
        let floor = floor.map_or_else(|| "-".to_owned(), |floor| format!("{floor:.3}"));
        let row = [of.clone(), (*what).to_owned(), format!("{ours:.3}"), floor, format!("{ratio:.2}")];
        table.add_row(row.into_iter().chain([(*aim).to_owned()]));
    }
    table
}

#[test]
fn only_what_belongs_together_is_compared() {
    let one = |name: &str, per_second| Measured {
        sagas: 1,
        per_second,
        ..Measured::of_facts(name, &[], Vec::new())
    };
    let all = [
        one("floor/sqlite/each/closed-500", 4_000.0),
        one("books/sqlite/subject/closed-500", 3_000.0),
        one("books/sqlite/subject/closed-64", 1.0),
        one("floor/sqlite/each/closed-500/rows", 3_000.0),
    ];
    let ratios = of(&all);
    assert!(ratios.iter().all(|ratio| ratio.of.starts_with("sqlite, 500 in flight")), "{ratios:?}");
    let throughput = ratios.iter().filter(|ratio| ratio.what == "sagas/s");
    let throughput: Vec<_> = throughput.map(|ratio| (ratio.ratio, ratio.aim)).collect();
    assert_eq!(throughput, [(0.75, ">= 0.70"), (1.0, "")]);
}
