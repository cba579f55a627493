//! Long runs that have a name: `make scenario`, `make scenario ONLY=wipes ORDERS=300`.
//!
//! A scenario is a file here and a line in [`ALL`]. It says its size, what it must have seen, and how it is played: a
//! [`World`](crate::world::World), a script of faults, and whatever else it wants to be sure of.
//!
//! Invariant: a scenario that did not see what it is about fails, however well all went.

mod cluster;
mod outage;
mod wipes;

use std::{fmt, pin::Pin};

use crate::{
    fault::Fault,
    load::Pace,
    run::{Outcome, Title},
};

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Scenario] =
    &[wipes::WIPES, cluster::CLUSTER, outage::KILLED, outage::STOPPED, outage::OF_INVENTORY];

/// How large a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many orders are placed.
    pub orders: u64,
    /// Orders in a second.
    pub rate: u64,
    /// Decides their fates, and what is left to chance.
    pub seed: u64,
}

impl Size {
    /// The same, except for what is said otherwise.
    #[must_use]
    pub fn or(self, orders: Option<u64>, rate: Option<u64>, seed: Option<u64>) -> Self {
        Self {
            orders: orders.unwrap_or(self.orders),
            rate: rate.unwrap_or(self.rate),
            seed: seed.unwrap_or(self.seed),
        }
    }

    pub(crate) const fn pace(self) -> Pace {
        Pace { seed: self.seed, rate: self.rate, orders: Some(self.orders) }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { orders, rate, seed } = self;
        write!(f, "ORDERS={orders} RATE={rate} SEED={seed}")
    }
}

/// A run under way.
pub(crate) type Playing = Pin<Box<dyn Future<Output = Outcome>>>;

/// A long run that has a name.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// What `ONLY=` says.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// How large it is unless it is said otherwise.
    pub size: Size,
    /// Faults that it must have made, each at least so often.
    pub(crate) makes: &'static [(Fault, usize)],
    /// What it must have seen.
    pub(crate) sees: &'static [&'static str],
    /// Plays it.
    pub(crate) play: fn(Title, Size) -> Playing,
}

impl Scenario {
    /// Plays it.
    pub async fn run(&self, size: Size) -> Outcome {
        let title = Title {
            name: self.name.to_owned(),
            again: format!("make scenario ONLY={} {size}", self.name),
            plan: vec![self.about.to_owned()],
        };
        (self.play)(title, size).await
    }

    /// What should have happened and did not.
    #[must_use]
    pub fn unseen(&self, outcome: &Outcome) -> Vec<String> {
        let times = |fault: Fault| outcome.struck.iter().filter(|struck| struck.fault == fault).count();
        let made = self.makes.iter().filter(|(fault, least)| times(*fault) < *least);
        let mut unseen: Vec<_> =
            made.map(|(fault, least)| format!("{} {least} times", fault.name())).collect();
        let is_unseen = |what: &&&str| outcome.coverage.0.get(**what).is_none_or(|count| *count == 0);
        unseen.extend(self.sees.iter().filter(is_unseen).map(|what| (*what).to_owned()));
        unseen
    }
}

/// Those whose names are given, or all.
///
/// # Errors
/// The name that is none.
pub fn wanted(only: &str) -> Result<Vec<Scenario>, String> {
    if only.trim().is_empty() {
        return Ok(ALL.to_vec());
    }
    let find = |name: &str| {
        let found = ALL.iter().find(|scenario| scenario.name == name).copied();
        found.ok_or_else(|| format!("there is no scenario {name:?}"))
    };
    only.split(',').map(|name| find(name.trim())).collect()
}

/// A line for each.
#[must_use]
pub fn list() -> String {
    let line = |scenario: &Scenario| format!("  {:<10}{} ({})", scenario.name, scenario.about, scenario.size);
    let lines: Vec<_> = ALL.iter().map(line).collect();
    format!("Scenarios:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_found_by_their_names() {
        let names = |only: &str| wanted(only).map(|all| all.iter().map(|one| one.name).collect::<Vec<_>>());
        assert_eq!(names("").unwrap().len(), ALL.len());
        assert_eq!(names(" wipes ").unwrap(), ["wipes"]);
        assert_eq!(names("wipes,wopes").unwrap_err(), "there is no scenario \"wopes\"");
        assert!(ALL.iter().all(|scenario| list().contains(scenario.name)));
    }
}
