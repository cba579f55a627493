//! A simulation of the whole protocol: the real engine and the real inbox rules among a store, a broker and
//! processes that exist in one thread only, on a virtual clock, with everything going wrong.
//!
//! Worlds are small and many. Each has a seed of its own, which replays it to the last event.
//!
//! Invariant: nothing here is random but the dice of a world.

mod agenda;
mod broker;
mod counters;
mod definitions;
mod dice;
mod orchestrator;
mod people;
mod queue;
mod service;
mod store;
mod timers;
mod verdict;
mod violation;
mod weather;
mod witness;
mod world;

pub use counters::{Counters, EXPECTED};
pub use dice::Dice;
pub use violation::Violation;
pub use world::{End, Flaw, run};

/// Sagas in one world: enough to get in each other's way, few enough to read.
pub const SAGAS_PER_WORLD: usize = 100;
