//! What must hold, by number.
//!
//! Invariant: `I` holds at every moment, `L` once the faults have stopped.

use std::fmt;

use serde::Serialize;

/// Something that must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Invariant {
    /// A journal is gapless, as long as its row's version, and leads to the row.
    I1,
    /// Nothing leaves a terminal phase, and the direction turns once.
    I2,
    /// Each effect id has at most one effect.
    I3,
    /// What the provider keeps of a charge is its price if the saga is completed, nothing if it is compensated.
    I4,
    /// Stock: `on_hand + deducted = received`, `reserved` is what active reservations hold, nothing negative.
    I5,
    /// No command of a step before its predecessors' success is committed, and none that was never decided.
    I6,
    /// Compensation goes in reverse order, over all steps that may have run and no other.
    I7,
    /// An action with a tombstone has no effect.
    I8,
    /// The reply recorded for an effect is the same for ever.
    I9,
    /// Nothing is acknowledged whose effect is not in the database.
    I10,
    /// Every operator's action has an actor and a reason.
    I11,
    /// One idempotency key, one saga.
    I12,
    /// Every accepted saga has ended, or says what it waits for.
    L1,
    /// A saga that has ended holds nothing: no active reservation, no open charge.
    L2,
    /// Nothing that is due is left lying for longer than a lease.
    L3,
    /// The dead letters are exactly the injected poison.
    L4,
    /// No more sends than steps and faults explain.
    L5,
    /// Memory, file descriptors and connections stay flat.
    L6,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
        Self::I12,
        Self::L1,
        Self::L2,
        Self::L3,
        Self::L4,
        Self::L5,
        Self::L6,
    ];

    /// What it says, in a few words.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::I1 => "the journal is whole and leads to the row",
            Self::I2 => "an end is an end, and the direction turns once",
            Self::I3 => "one effect id, at most one effect",
            Self::I4 => "the provider keeps what the saga's end says",
            Self::I5 => "the stock adds up",
            Self::I6 => "nothing is sent before its time",
            Self::I7 => "compensation goes backward, over all that may have run",
            Self::I8 => "what has a tombstone never happened",
            Self::I9 => "a recorded reply never changes",
            Self::I10 => "what is acknowledged is in the database",
            Self::I11 => "every operator's action says who and why",
            Self::I12 => "one idempotency key, one saga",
            Self::L1 => "every saga ends, or says what it waits for",
            Self::L2 => "a saga that has ended holds nothing",
            Self::L3 => "nothing due is left lying",
            Self::L4 => "dead letters are exactly the poison",
            Self::L5 => "no more sends than can be explained",
            Self::L6 => "processes stay flat",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
