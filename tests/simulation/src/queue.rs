//! One consumer's messages at the broker: at least once, or not at all when the store is lost.
//!
//! Invariant: a message is delivered again and again until it is acknowledged; only `wipe` and `restore`
//! lose any.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use amends_contract::Timestamp;

use crate::dice::Dice;

/// How long the broker remembers a message's id, in milliseconds.
const WINDOW_MS: u64 = 2 * 60 * 1000;

/// How long the broker waits for an acknowledgement, in milliseconds.
pub(crate) const ACK_WAIT_MS: u64 = 60 * 1000;

/// What acknowledges one delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receipt {
    era: u32,
    pub(crate) seq: u64,
    /// How often it was delivered by then, from 1.
    pub(crate) delivered: u64,
}

/// The messages of one consumer.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    /// Receipts of a lost store acknowledge nothing.
    era: u32,
    last_seq: u64,
    stored: BTreeMap<u64, Stored<T>>,
    ready: VecDeque<u64>,
    outstanding: BTreeMap<u64, Timestamp>,
    window: BTreeMap<String, Timestamp>,
}

#[derive(Clone, Debug)]
struct Stored<T> {
    message: Rc<T>,
    delivered: u64,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self {
            era: 0,
            last_seq: 0,
            stored: BTreeMap::new(),
            ready: VecDeque::new(),
            outstanding: BTreeMap::new(),
            window: BTreeMap::new(),
        }
    }

    /// Stores a message; `false` if one with its id was stored within the window.
    pub(crate) fn store(&mut self, now: Timestamp, id: Option<String>, message: Rc<T>) -> bool {
        if let Some(id) = id {
            if self.window.get(&id).is_some_and(|at| now.ms_since(*at) < WINDOW_MS) {
                return false;
            }
            self.window.insert(id, now);
        }
        self.last_seq += 1;
        self.stored.insert(self.last_seq, Stored { message, delivered: 0 });
        self.ready.push_back(self.last_seq);
        true
    }

    /// Up to `count` messages; `shuffled` ones come in any order.
    pub(crate) fn pull(
        &mut self,
        now: Timestamp,
        count: usize,
        shuffled: bool,
        dice: &mut Dice,
    ) -> Vec<(Receipt, Rc<T>)> {
        self.expire(now);
        let mut pulled = Vec::new();
        while pulled.len() < count {
            let place = if shuffled { dice.index(self.ready.len()) } else { 0 };
            let Some(seq) = self.ready.remove(place) else { break };
            let Some(stored) = self.stored.get_mut(&seq) else { continue };
            stored.delivered += 1;
            self.outstanding.insert(seq, now.plus_ms(ACK_WAIT_MS));
            let receipt = Receipt { era: self.era, seq, delivered: stored.delivered };
            pulled.push((receipt, Rc::clone(&stored.message)));
        }
        pulled
    }

    /// Acknowledges; `false` if it is none of these messages any more.
    pub(crate) fn ack(&mut self, receipt: Receipt) -> bool {
        receipt.era == self.era && {
            self.outstanding.remove(&receipt.seq);
            self.stored.remove(&receipt.seq).is_some()
        }
    }

    /// Asks for it again at `at`.
    pub(crate) fn nak(&mut self, receipt: Receipt, at: Timestamp) {
        if receipt.era == self.era && self.outstanding.contains_key(&receipt.seq) {
            self.outstanding.insert(receipt.seq, at);
        }
    }

    /// What was not acknowledged in time is ready again.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        let expired: Vec<u64> =
            self.outstanding.iter().filter(|(_, until)| **until <= now).map(|(seq, _)| *seq).collect();
        for seq in expired {
            self.outstanding.remove(&seq);
            self.ready.push_back(seq);
        }
    }

    /// Messages that nobody has pulled.
    pub(crate) fn backlog(&self) -> usize {
        self.ready.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Loses all.
    pub(crate) fn wipe(&mut self) {
        *self = Self { era: self.era + 1, ..Self::new() };
    }

    /// Goes back to an earlier state: what came since is lost, what was acknowledged since comes again.
    pub(crate) fn restore(&mut self, earlier: &Self)
    where
        T: Clone,
    {
        let era = self.era + 1;
        *self = earlier.clone();
        self.era = era;
        let outstanding = std::mem::take(&mut self.outstanding);
        self.ready.extend(outstanding.into_keys());
    }
}
