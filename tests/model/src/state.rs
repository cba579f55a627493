//! A state of the world: numbers that stand for values in pools.
//!
//! The network is the set of all messages ever sent: nothing is taken off it, so each may come any number
//! of times, in any order, or never.

use crate::breach::Breaches;
use crate::orchestrator::Stimulus;
use crate::service::Event;

/// One state of everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The saga's row in the database.
    pub row: u32,
    /// The participant.
    pub service: u32,
    /// The messages that were ever sent, sorted.
    pub net: Vec<u32>,
    /// The two orchestrators; sorted, for they are alike.
    pub processes: [Process; 2],
    /// How many crashes there were.
    pub crashes: u8,
    /// Whether the owner has cancelled.
    pub cancelled: bool,
    /// What was found wrong on the way here.
    pub breaches: Breaches,
}

impl State {
    pub(crate) fn send(&mut self, message: u32) {
        if let Err(at) = self.net.binary_search(&message) {
            self.net.insert(at, message);
        }
    }

    pub(crate) fn has(&self, message: u32) -> bool {
        self.net.binary_search(&message).is_ok()
    }
}

/// One orchestrator.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Process {
    /// Waits.
    #[default]
    Idle,
    /// Has loaded the row and decided; the commit comes next.
    Deciding {
        /// About what.
        stimulus: Stimulus,
        /// The row as it was loaded.
        base: u32,
        /// Whether somebody has committed since: the row's version is another one now.
        stale: bool,
    },
    /// Has committed; publishing comes next.
    Publishing {
        /// What.
        sends: Vec<u32>,
    },
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// An orchestrator loads, decides, commits and publishes at one go.
    Take(Stimulus),
    /// The orchestrator with that place loads and decides.
    Load(usize, Stimulus),
    /// It commits, unless the row has changed.
    Commit(usize),
    /// It publishes.
    Publish(usize),
    /// It is killed.
    Crash(usize),
    /// It finds that a reply is a redelivered duplicate, and publishes the row's open commands again.
    Republish(usize),
    /// Something happens at the participant, which answers.
    Happen(Event),
    /// The same, but it is killed after its commit, before it answers.
    HappenUnanswered(Event),
}
