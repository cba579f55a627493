//! The production shape under fire: three nats-servers with three copies of each stream, two orchestrators,
//! PostgreSQL; within every five seconds one process of each kind is killed, for as long as orders are placed.
//!
//! Invariant: whoever is killed is started again at once, as every supervisor of services does; the broker loses
//! the leader of the commands and of the replies in turn.

use super::{Playing, Scenario, Size};
use crate::{
    fault::Fault,
    plan::{Strike, Topology},
    run::{Outcome, Run, Title},
    script::{Moment, Script},
    world::World,
};

pub(super) const CLUSTER: Scenario = Scenario {
    name: "cluster",
    about: "three nats-servers, two orchestrators, PostgreSQL: one process of each kind is killed every 5 s",
    size: Size { orders: 5_000, rate: 8, seed: 1 },
    makes: &[(Fault::LeaderKilled, 2), (Fault::Kill, 10), (Fault::PostgresKilled, 2)],
    // Leases are those that ship: nothing is delivered again by the broker within a minute.
    sees: &[
        "completed",
        "compensated",
        "cancelled by the owner",
        "late replies",
        "sent again",
        "conflicts of commits",
    ],
    play: |title, size| -> Playing { Box::pin(play(title, size)) },
};

const TOPOLOGY: Topology = Topology {
    postgres: true,
    three_brokers: true,
    orchestrator_count: 2,
    default_leases: true,
    bundles: false,
};

/// What is killed in turn; of several, one after the other.
const KINDS: [(Fault, &[&str]); 7] = [
    (Fault::LeaderKilled, &["AMENDS_CMD", "AMENDS_REPLY"]),
    (Fault::Kill, &["orchestrator", "orchestrator-2"]),
    (Fault::Kill, &["inventory"]),
    (Fault::Kill, &["payment"]),
    (Fault::Kill, &["notification"]),
    (Fault::Kill, &["provider"]),
    (Fault::PostgresKilled, &["PostgreSQL"]),
];
/// Nothing is struck before there is something to strike, in milliseconds.
const FIRST_MS: u64 = 2_000;
/// One of each kind within so long, in milliseconds.
const ROUND_MS: u64 = 5_000;
const STEP_MS: u64 = ROUND_MS / KINDS.len() as u64;

struct Rounds {
    next_at_ms: u64,
    made: usize,
}

impl Script for Rounds {
    fn next(&mut self, moment: &Moment) -> Option<Strike> {
        if moment.now_ms < self.next_at_ms {
            return None;
        }
        // A machine that is late kills nobody twice for that.
        self.next_at_ms = moment.now_ms + STEP_MS;
        let (round, kind) = (self.made / KINDS.len(), self.made % KINDS.len());
        self.made += 1;
        let (fault, targets) = KINDS[kind];
        let target = targets[round % targets.len()];
        Some(Strike { at_ms: 0, lasts_ms: 0, fault, target, dice: round as u64 })
    }
}

async fn play(title: Title, size: Size) -> Outcome {
    let world = World::plain(&TOPOLOGY).await;
    Run::on(world, title).play(size.pace(), &mut Rounds { next_at_ms: FIRST_MS, made: 0 }).await
}

#[test]
fn every_kind_is_killed_in_every_round() {
    let mut rounds = Rounds { next_at_ms: FIRST_MS, made: 0 };
    let made: Vec<_> = (0..FIRST_MS + 2 * ROUND_MS)
        .filter_map(|now_ms| rounds.next(&Moment { now_ms, placed: 0, busy: [].into() }))
        .map(|strike| strike.target)
        .collect();
    let rest = ["inventory", "payment", "notification", "provider", "PostgreSQL"];
    let round = |leader, orchestrator| [&[leader, orchestrator][..], &rest].concat();
    let both = [round("AMENDS_CMD", "orchestrator"), round("AMENDS_REPLY", "orchestrator-2")].concat();
    assert_eq!(made[..both.len()], both);
}
