//! What a seed means: a topology, and a schedule of faults.
//!
//! Invariant: the plan follows from the seed, the length and what the machine can do, and from nothing
//! else. Two seeds that differ by two have the same databases and begin with different halves of the
//! faults, and every fourth has a cluster and begins with what only a cluster can suffer, so that any four seeds
//! in a row make each fault at least once.

use std::{collections::BTreeMap, fmt};

use amends_tests::{Dice, REPLICAS};

use crate::{
    fault::{Fault, Realm},
    run::Title,
    script::{Moment, Script},
};

/// Milliseconds between two faults, at least and at most.
const GAP_MS: (u64, u64) = (300, 1_800);
/// Nothing is struck before there is something to strike.
const FIRST_MS: u64 = 1_500;

/// How a system is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// On PostgreSQL; else all databases are SQLite.
    pub postgres: bool,
    /// On three nats-servers that make a cluster; else on one.
    pub three_brokers: bool,
    /// How many orchestrators share the work.
    pub orchestrator_count: usize,
    /// Leases and the broker's patience as they ship; else all of them are a few seconds, so that a pause
    /// outlives them.
    pub default_leases: bool,
    /// Commands and replies of one commit travel as one message.
    pub bundles: bool,
}

impl Topology {
    /// The names of the orchestrators.
    #[must_use]
    pub fn orchestrators(&self) -> Vec<&'static str> {
        std::iter::once("orchestrator").chain(REPLICAS).take(self.orchestrator_count).collect()
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let databases = if self.postgres { "PostgreSQL" } else { "SQLite" };
        let leases = if self.default_leases { "as they ship" } else { "short" };
        let brokers = if self.three_brokers { "three nats-servers" } else { "one nats-server" };
        let count = self.orchestrator_count;
        write!(f, "{databases}, {brokers}, orchestrators: {count}, leases: {leases}")?;
        if self.bundles { f.write_str(", messages in bundles") } else { Ok(()) }
    }
}

/// One fault of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    /// When it begins, in milliseconds of the run.
    pub at_ms: u64,
    /// How long it lasts.
    pub lasts_ms: u64,
    /// What it is.
    pub fault: Fault,
    /// Who is struck.
    pub target: &'static str,
    /// What is left to chance within it.
    pub dice: u64,
}

impl Strike {
    /// When it ends, in milliseconds of the run.
    #[must_use]
    pub const fn ends_ms(&self) -> u64 {
        self.at_ms + self.lasts_ms
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |ms: u64| format!("{:.1} s", ms as f64 / 1_000.0);
        let (at, lasts) = (seconds(self.at_ms), seconds(self.lasts_ms));
        write!(f, "{at:>8}  for {lasts:>6}  {}: {}", self.fault.name(), self.target)
    }
}

/// A topology and a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whence it comes.
    pub seed: u64,
    /// For how long orders are placed and faults made, in milliseconds.
    pub length_ms: u64,
    /// The layout.
    pub topology: Topology,
    /// In the order of their beginnings.
    pub strikes: Vec<Strike>,
}

impl Plan {
    /// The plan of a seed. What the machine cannot do is left out.
    #[must_use]
    pub fn of(seed: u64, length_ms: u64, impossible: &[Fault]) -> Self {
        let mut dice = Dice::seeded(seed);
        let topology = topology(seed, &mut dice);
        let possible: Vec<_> = Fault::ALL
            .into_iter()
            .filter(|fault| !impossible.contains(fault) && !fault.targets(&topology).is_empty())
            .collect();
        let strikes = schedule(&mut dice, &topology, Decks::new(seed, possible), length_ms);
        Self { seed, length_ms, topology, strikes }
    }

    /// What its run is called.
    pub(crate) fn title(&self) -> Title {
        let first = format!("seed {}, {}", self.seed, self.topology);
        Title {
            name: format!("seed-{}", self.seed),
            again: format!("make chaos SEED={}", self.seed),
            plan: std::iter::once(first).chain(self.strikes.iter().map(ToString::to_string)).collect(),
        }
    }

    /// Carries it out.
    pub(crate) fn script(&self) -> impl Script + use<> {
        Schedule { coming: self.strikes.iter().rev().cloned().collect(), length_ms: self.length_ms }
    }
}

/// What of a plan is still to come, the last first.
struct Schedule {
    coming: Vec<Strike>,
    length_ms: u64,
}

impl Script for Schedule {
    fn next(&mut self, moment: &Moment) -> Option<Strike> {
        // Making a fault takes time, too; then those of its realm come later than they were to.
        let is_due = |strike: &mut Strike| {
            strike.at_ms <= moment.now_ms && !moment.busy.contains(&strike.fault.realm())
        };
        self.coming.pop_if(is_due)
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.length_ms && self.coming.is_empty()
    }
}

fn topology(seed: u64, dice: &mut Dice) -> Topology {
    let postgres = seed.is_multiple_of(2);
    let orchestrator_count = if postgres { 2 + usize::from(dice.below(2) == 1) } else { 1 };
    let (three_brokers, default_leases) = (seed.is_multiple_of(4), seed.is_multiple_of(5));
    let bundles = seed.is_multiple_of(3);
    Topology { postgres, three_brokers, orchestrator_count, default_leases, bundles }
}

/// Faults like cards: each comes once before any comes again.
struct Decks {
    first: Vec<Fault>,
    all: Vec<Fault>,
    rest: Vec<Fault>,
}

impl Decks {
    /// Two seeds of the same databases that follow each other begin with different halves of what both can
    /// suffer.
    fn new(seed: u64, all: Vec<Fault>) -> Self {
        let half = usize::from((seed / 2) % 2 == 1);
        let of_cluster = |fault: &Fault| matches!(fault, Fault::LeaderKilled | Fault::ServerPaused);
        let (own, shared): (Vec<_>, Vec<_>) = all.iter().copied().partition(of_cluster);
        let first =
            shared.into_iter().enumerate().filter(|(place, _)| place % 2 == half).map(|(_, fault)| fault);
        Self { first: own.into_iter().chain(first).collect(), all, rest: Vec::new() }
    }

    fn draw(&mut self, dice: &mut Dice) -> Fault {
        let deck = if self.first.is_empty() { &mut self.rest } else { &mut self.first };
        if deck.is_empty() {
            deck.clone_from(&self.all);
        }
        let place = usize::try_from(dice.below(deck.len() as u64)).expect("small");
        deck.swap_remove(place)
    }
}

fn schedule(dice: &mut Dice, topology: &Topology, mut decks: Decks, length_ms: u64) -> Vec<Strike> {
    let mut strikes = Vec::new();
    let mut free_at: BTreeMap<Realm, u64> = BTreeMap::new();
    let mut now = FIRST_MS;
    while now < length_ms {
        let fault = decks.draw(dice);
        let targets = fault.targets(topology);
        let target = targets[usize::try_from(dice.below(targets.len() as u64)).expect("small")];
        let free = free_at.entry(fault.realm()).or_default();
        let at_ms = now.max(*free);
        let (least, most) = fault.lasts_ms();
        let lasts_ms = least + dice.below(most - least);
        *free = at_ms + lasts_ms + GAP_MS.0;
        strikes.push(Strike { at_ms, lasts_ms, fault, target, dice: dice.below(u64::MAX) });
        now += GAP_MS.0 + dice.below(GAP_MS.1 - GAP_MS.0);
    }
    strikes.sort_by_key(|strike| strike.at_ms);
    strikes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_plan() {
        assert_eq!(Plan::of(7, 30_000, &[]), Plan::of(7, 30_000, &[]));
        assert_ne!(Plan::of(7, 30_000, &[]).strikes, Plan::of(9, 30_000, &[]).strikes);
    }

    #[test]
    fn four_seeds_in_a_row_make_every_fault() {
        for first in [1, 6, 43] {
            let plans = (first..first + 4).map(|seed| Plan::of(seed, crate::CI_LENGTH_MS, &[]));
            let made: BTreeSet<_> = plans.flat_map(|plan| plan.strikes).map(|strike| strike.fault).collect();
            let missing: Vec<_> = Fault::ALL.into_iter().filter(|fault| !made.contains(fault)).collect();
            assert!(missing.is_empty(), "seeds {first} to {}: {missing:?}", first + 3);
        }
    }

    #[test]
    fn faults_of_one_realm_follow_each_other() {
        for seed in 0..20 {
            let plan = Plan::of(seed, 60_000, &[]);
            let mut ends: BTreeMap<Realm, u64> = BTreeMap::new();
            for strike in &plan.strikes {
                let end = ends.insert(strike.fault.realm(), strike.ends_ms()).unwrap_or_default();
                assert!(end <= strike.at_ms, "seed {seed}: {strike} begins before {end} ms");
            }
        }
    }
}
