//! What is measured: a list of settings, each with a name by which it can be chosen.
//!
//! Invariant: no two settings have the same name.

use std::time::Duration;

use serde::Serialize;

use crate::{
    load::{Amount, Pace},
    world::{Database, Layout, Way},
};

/// The most that a measurement of a loop lasts, whatever the machine.
const LONGEST: Duration = Duration::from_secs(30);
/// An open loop goes on for so long before it counts, and while it counts, in seconds.
const WARM_UP_S: u64 = 3;
const COUNTED_S: u64 = 10;
/// For so long too much comes in, or nothing.
const MINUTE: Duration = Duration::from_secs(60);
/// Sagas that are in the store beforehand.
const STORED: u64 = 100_000;
const STORED_MANY: u64 = 2_000_000;
/// Commands or replies in one message, where they are bundled.
const BUNDLE: usize = 64;
/// Servers of a cluster, and copies of each stream in it.
const COPIES: usize = 3;
/// Sagas that are under way while the orchestrator starts.
const OPEN: u64 = 100_000;

/// How much of everything: all of it, or a part of it for a quick look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Numbers of orders and of sagas, and times of what is no loop, are divided by this.
    pub(crate) divisor: u32,
}

impl Share {
    fn of(self, count: u64) -> u64 {
        (count / u64::from(self.divisor.max(1))).max(1)
    }

    fn of_time(self, time: Duration) -> Duration {
        time / self.divisor.max(1)
    }
}

/// How the floor tells the broker that it has done its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Acks {
    Each,
    Batch,
}

/// What of the product's data the floor carries, besides its own; each carries what those before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Laden {
    Nothing,
    Messages,
    Events,
    Rows,
}

/// The floor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) database: Database,
    pub(crate) acks: Acks,
    pub(crate) laden: Laden,
    pub(crate) in_flight: usize,
    pub(crate) amount: Amount,
}

/// A load on a world.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loop {
    pub(crate) layout: Layout,
    pub(crate) way: Way,
    pub(crate) pace: Pace,
    pub(crate) amount: Amount,
    /// Settled sagas that are in the store beforehand.
    pub(crate) stored: u64,
}

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Setting {
    /// The smallest honest pipeline.
    Floor(Floor),
    /// A load, and what it costs.
    Loop(Loop),
    /// Twice as many orders as can be served.
    Overload { database: Database, lasts: Duration },
    /// Nothing to do.
    Idle { database: Database, lasts: Duration },
    /// The orchestrator starts among so many sagas that are under way.
    Opening { database: Database, open: u64 },
}

impl Setting {
    fn open(share: Share, database: Database, way: Way, per_second: u64) -> Self {
        let warm_up = share.of(per_second * WARM_UP_S);
        let amount = Amount { warm_up, counted: share.of(per_second * COUNTED_S), longest: LONGEST };
        let layout = Layout::books(database);
        Self::Loop(Loop { layout, way, pace: Pace::Open(per_second), amount, stored: 0 })
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Floor(of) => of.name(),
            Self::Loop(of) => of.name(),
            Self::Overload { database, .. } => format!("overload/{}/rest", word(database)),
            Self::Idle { database, .. } => format!("idle/{}", word(database)),
            Self::Opening { database, open } => format!("opening/{}/open-{open}", word(database)),
        }
    }
}

impl Floor {
    pub(crate) fn name(&self) -> String {
        let Self { database, acks, laden, in_flight, .. } = self;
        let mut name = format!("floor/{}/{}/closed-{in_flight}", word(database), word(acks));
        if *laden != Laden::Nothing {
            name.push_str(&format!("/{}", word(laden)));
        }
        name
    }
}

impl Loop {
    pub(crate) fn name(&self) -> String {
        let Layout { kind, database, orchestrators, copies, bundle } = self.layout;
        let pace = match self.pace {
            Pace::Closed(in_flight) => format!("closed-{in_flight}"),
            Pace::Open(per_second) => format!("open-{per_second}"),
        };
        let mut name = format!("{}/{}/{}/{pace}", word(kind), word(database), word(self.way));
        if orchestrators > 1 {
            name.push_str(&format!("/orchestrators-{orchestrators}"));
        }
        if copies > 1 {
            name.push_str(&format!("/nats-{copies}"));
        }
        if bundle > 1 {
            name.push_str(&format!("/bundle-{bundle}"));
        }
        if self.stored > 0 {
            name.push_str(&format!("/stored-{}", self.stored));
        }
        name
    }
}

impl Share {
    /// Enough orders for percentiles, and for some seconds; the floor takes as many.
    fn amount(self, in_flight: usize) -> Amount {
        let (warm_up, counted) = match in_flight {
            0..=1 => (100, 500),
            2..=64 => (1_000, 6_000),
            _ => (3_000, 15_000),
        };
        Amount { warm_up: self.of(warm_up), counted: self.of(counted), longest: LONGEST }
    }

    fn floor(self, database: Database, acks: Acks, in_flight: usize) -> Setting {
        let (laden, amount) = (Laden::Nothing, self.amount(in_flight));
        Setting::Floor(Floor { database, acks, laden, in_flight, amount })
    }

    fn closed(self, layout: Layout, way: Way, in_flight: usize) -> Setting {
        self.stored(layout, way, in_flight, 0)
    }

    fn stored(self, layout: Layout, way: Way, in_flight: usize, stored: u64) -> Setting {
        let (pace, amount) = (Pace::Closed(in_flight), self.amount(in_flight));
        Setting::Loop(Loop { layout, way, pace, amount, stored })
    }
}

const BOTH: [Database; 2] = [Database::Sqlite, Database::Postgres];

/// All that `make bench` measures, in the order in which it does: what is compared stands together, since the
/// machine is not the same all day long.
pub(crate) fn usual(share: Share) -> Vec<Setting> {
    let mut settings = Vec::new();
    for database in BOTH {
        for in_flight in [1, 64, 500] {
            settings.push(share.floor(database, Acks::Each, in_flight));
            settings.push(share.closed(Layout::books(database), Way::Subject, in_flight));
        }
        settings.push(share.floor(database, Acks::Batch, 500));
        let bundled = Layout { bundle: BUNDLE, ..Layout::books(database) };
        settings.push(share.closed(bundled, Way::Subject, 500));
        let many = share.of(STORED);
        settings.push(share.stored(Layout::books(database), Way::Subject, 500, many));
    }
    for laden in [Laden::Messages, Laden::Events, Laden::Rows] {
        let (database, acks, amount) = (Database::Sqlite, Acks::Each, share.amount(500));
        settings.push(Setting::Floor(Floor { database, acks, laden, in_flight: 500, amount }));
    }
    for orchestrators in [2, 3] {
        let layout = Layout { orchestrators, ..Layout::books(Database::Postgres) };
        settings.push(share.closed(layout, Way::Subject, 500));
    }
    let copied = Layout { copies: COPIES, ..Layout::books(Database::Sqlite) };
    settings.extend([1, 500].map(|in_flight| share.closed(copied, Way::Subject, in_flight)));
    for in_flight in [1, 64, 500] {
        settings.push(share.closed(Layout::books(Database::Sqlite), Way::Rest, in_flight));
    }
    for per_second in [250, 500, 1_000, 1_500] {
        settings.push(Setting::open(share, Database::Sqlite, Way::Subject, per_second));
    }
    settings.push(Setting::open(share, Database::Sqlite, Way::Rest, 500));
    settings.push(Setting::open(share, Database::Postgres, Way::Subject, 500));
    settings.push(share.closed(Layout::shop(Database::Sqlite), Way::Rest, 64));
    settings.extend(BOTH.map(|database| share.closed(Layout::shop(database), Way::Rest, 500)));
    settings
}

/// What `make bench-full` measures besides.
pub(crate) fn long(share: Share) -> Vec<Setting> {
    let lasts = share.of_time(MINUTE);
    let many = share.of(STORED_MANY);
    let mut settings = Vec::new();
    settings.extend(BOTH.map(|database| share.stored(Layout::books(database), Way::Subject, 500, many)));
    settings.extend(BOTH.map(|database| Setting::Overload { database, lasts }));
    settings.extend(BOTH.map(|database| Setting::Idle { database, lasts }));
    settings.extend(BOTH.map(|database| Setting::Opening { database, open: share.of(OPEN) }));
    settings
}

/// How serde writes it.
pub(crate) fn word(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[test]
fn names_tell_settings_apart() {
    let share = Share { divisor: 1 };
    let all: Vec<_> = usual(share).into_iter().chain(long(share)).collect();
    let names: std::collections::BTreeSet<_> = all.iter().map(Setting::name).collect();
    assert_eq!(names.len(), all.len());
    assert!(names.contains("books/sqlite/subject/closed-500"), "{names:?}");
    assert!(names.contains("floor/postgres/each/closed-1"), "{names:?}");
    assert!(names.contains("floor/sqlite/each/closed-500/rows"), "{names:?}");
    assert!(names.contains("books/sqlite/subject/closed-1/nats-3"), "{names:?}");
    assert!(names.contains("books/sqlite/subject/closed-500/stored-2000000"), "{names:?}");
}
