//! Promise 3: `JetStream`'s store is deleted three times while orders of all fates are placed.
//!
//! Each time nats-server is killed, all that it has stored is deleted, and it is started again.
//!
//! Invariant: the wipes come when a quarter, the half and three quarters of the orders are placed, so that each
//! finds sagas in flight and is followed by more of them.

use super::{Playing, Scenario, Size};
use crate::{
    fault::Fault,
    plan::{Strike, Topology},
    run::{Run, Title},
    script::{Moment, Script},
    world::World,
};

pub(super) const WIPES: Scenario = Scenario {
    name: "wipes",
    about: "JetStream's store is deleted three times; every order settles, all books balance",
    size: Size { orders: 5_000, rate: 10, seed: 1 },
    makes: &[(Fault::StoreWiped, COUNT as usize)],
    sees: &[
        "completed",
        "compensated",
        "cancelled by the owner",
        "sent again",
        "wiped with sagas in flight",
        "lives long enough to tell growth",
    ],
    play: |title, size| -> Playing { Box::pin(play(title, size)) },
};

const COUNT: u64 = 3;
/// How long the broker is away each time, in milliseconds.
const AWAY_MS: u64 = 1_000;
const TOPOLOGY: Topology = Topology {
    postgres: false,
    three_brokers: false,
    orchestrator_count: 1,
    default_leases: true,
    bundles: false,
};

struct Wipes {
    orders: u64,
    made: u64,
}

impl Script for Wipes {
    fn next(&mut self, moment: &Moment) -> Option<Strike> {
        let share = self.orders * (self.made + 1) / (COUNT + 1);
        let is_due = self.made < COUNT && moment.placed >= share && moment.busy.is_empty();
        is_due.then(|| {
            self.made += 1;
            Strike { at_ms: 0, lasts_ms: AWAY_MS, fault: Fault::StoreWiped, target: "nats-server", dice: 0 }
        })
    }
}

async fn play(title: Title, size: Size) -> crate::run::Outcome {
    let world = World::plain(&TOPOLOGY).await;
    let mut script = Wipes { orders: size.orders, made: 0 };
    let mut outcome = Run::on(world, title).play(size.pace(), &mut script).await;
    let met_some = outcome.struck.iter().filter(|struck| struck.in_flight > 0).count();
    if met_some == outcome.struck.len() {
        outcome.coverage.add("wiped with sagas in flight", 1);
    }
    outcome
}
