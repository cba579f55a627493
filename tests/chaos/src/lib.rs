//! The nemesis: a system of real processes under a load, and a seeded schedule of everything that can go wrong.
//!
//! A plan follows from a seed, a scenario has a name. While it is carried out, orders of all fates are placed;
//! then the faults stop, everything has to settle, and all books have to agree.
//!
//! Invariant: nothing here knows the code of the services; what is done to them is done from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may stop with a word")]

pub mod coverage;
mod disk;
mod dump;
pub mod fault;
mod link;
mod load;
pub mod plan;
pub mod planted;
mod proxy;
pub mod report;
pub mod run;
pub mod scenario;
mod script;
mod strike;
mod usage;
mod watch;
mod world;

/// Faults that cannot be made on this machine, each with what is missing.
#[must_use]
pub fn impossible() -> Vec<(fault::Fault, &'static str)> {
    world::World::impossible()
}

/// How long the faults of one of CI's seeds last, in milliseconds.
pub const CI_LENGTH_MS: u64 = 35_000;
