//! What is measured: a list of settings, each with a name by which it can be chosen.
//!
//! Invariant: no two settings have the same name.

use std::time::Duration;

use serde::Serialize;

use crate::{
    load::{Amount, Pace},
    world::{Database, Kind, Layout, Way},
};

/// The most that a measurement lasts, whatever the machine.
const LONGEST: Duration = Duration::from_secs(30);

/// An open loop goes on for so long before it counts, and while it counts, in seconds.
const WARM_UP_S: u64 = 3;
const COUNTED_S: u64 = 10;

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) layout: Layout,
    pub(crate) way: Way,
    pub(crate) pace: Pace,
    pub(crate) amount: Amount,
}

impl Setting {
    fn closed(kind: Kind, database: Database, way: Way, in_flight: usize) -> Self {
        let layout = Layout { kind, database, orchestrators: 1 };
        Self { layout, way, pace: Pace::Closed(in_flight), amount: amount(in_flight) }
    }

    fn open(kind: Kind, database: Database, way: Way, per_second: u64) -> Self {
        let layout = Layout { kind, database, orchestrators: 1 };
        let warm_up = per_second * WARM_UP_S;
        let amount = Amount { warm_up, counted: per_second * COUNTED_S, longest: LONGEST };
        Self { layout, way, pace: Pace::Open(per_second), amount }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        let Layout { kind, database, orchestrators } = self.layout;
        let pace = match self.pace {
            Pace::Closed(in_flight) => format!("closed-{in_flight}"),
            Pace::Open(per_second) => format!("open-{per_second}"),
        };
        let more = if orchestrators > 1 { format!("/orchestrators-{orchestrators}") } else { String::new() };
        format!("{}/{}/{}/{pace}{more}", word(kind), word(database), word(self.way))
    }
}

/// Enough orders for percentiles, and for some seconds.
fn amount(in_flight: usize) -> Amount {
    let (warm_up, counted) = match in_flight {
        0..=1 => (100, 500),
        2..=64 => (1_000, 6_000),
        _ => (3_000, 15_000),
    };
    Amount { warm_up, counted, longest: LONGEST }
}

/// All of them, in the order in which they are run.
pub(crate) fn all() -> Vec<Setting> {
    let mut settings = Vec::new();
    for in_flight in [1, 64, 500] {
        settings.push(Setting::closed(Kind::Books, Database::Sqlite, Way::Subject, in_flight));
    }
    for in_flight in [1, 64, 500] {
        settings.push(Setting::closed(Kind::Books, Database::Sqlite, Way::Rest, in_flight));
    }
    for in_flight in [1, 64, 500] {
        settings.push(Setting::closed(Kind::Books, Database::Postgres, Way::Subject, in_flight));
    }
    for per_second in [250, 500, 1_000] {
        settings.push(Setting::open(Kind::Books, Database::Sqlite, Way::Subject, per_second));
    }
    settings.push(Setting::closed(Kind::Shop, Database::Sqlite, Way::Rest, 64));
    settings
}

/// How serde writes it.
fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[test]
fn names_tell_settings_apart() {
    let names: std::collections::BTreeSet<_> = all().iter().map(Setting::name).collect();
    assert_eq!(names.len(), all().len());
    assert!(names.contains("books/sqlite/subject/closed-500"));
}
