//! What can be found wrong with one step of a run, as opposed to a state: a set of it travels with the state.

/// A rule that a transition broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breach {
    /// The saga turned twice, or left its end.
    Direction,
    /// Folding the journal's entry gave another row than the one that was stored.
    Journal,
    /// The saga would hang for ever without a reason, or is stuck for one that nobody gave cause for.
    Lost,
    /// An input was applied, and changed nothing but the journal.
    Echo,
    /// What was meant as another sending has the number of an earlier one.
    SendNo,
    /// A reply of an honest participant contradicts what the saga knows.
    Contradiction,
    /// The participant said two different final things about one effect.
    TwoAnswers,
    /// A step happened before its predecessors had succeeded, or after one of them was undone.
    TooEarly,
    /// A step was undone before a later one was, or could still happen.
    OutOfOrder,
}

/// A set of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Breaches(u16);

impl Breaches {
    pub(crate) const fn add(&mut self, breach: Breach) {
        self.0 |= 1 << breach as u8;
    }

    pub(crate) const fn add_if(&mut self, is: bool, breach: Breach) {
        if is {
            self.add(breach);
        }
    }

    pub(crate) const fn add_all(&mut self, others: Self) {
        self.0 |= others.0;
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the rule was broken.
    #[must_use]
    pub const fn has(self, breach: Breach) -> bool {
        self.0 & (1 << breach as u8) != 0
    }
}
