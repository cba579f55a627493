//! What goes wrong in a world, and how often: rolled once per world, so that worlds differ in kind.
//!
//! Invariant: in calm weather nothing goes wrong by itself.

use crate::dice::Dice;

/// Chances per mille, each time the thing is done.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// The broker acknowledges a message and loses it.
    pub(crate) lost: u32,
    /// A relay publishes a copy, under another id, later.
    pub(crate) copied: u32,
    /// Messages are pulled in any order.
    pub(crate) shuffled: u32,
    /// A message takes up to some minutes.
    pub(crate) late: u32,
    /// Publishing reports an error, and nothing is stored.
    pub(crate) refused: u32,
    /// Publishing reports an error, and the message is stored later all the same.
    pub(crate) zombie: u32,
    /// An acknowledgement does not arrive.
    pub(crate) ack_lost: u32,
    /// A process dies at a point of its protocol.
    pub(crate) crash: u32,
    /// The database commits, and its answer is lost.
    pub(crate) answer_lost: u32,
    /// The database refuses.
    pub(crate) database: u32,
    /// The domain fails for now.
    pub(crate) fails: u32,
    /// The business says no.
    pub(crate) rejects: u32,
    /// A call to the outside is needed.
    pub(crate) calls: u32,
    /// A call's answer is lost, or comes very late.
    pub(crate) call_lost: u32,
    /// An outage begins: of the broker, a participant, the database, an orchestrator (looked at every
    /// ten seconds).
    pub(crate) outage: u32,
    /// The broker's store is wiped or rolled back (looked at every ten seconds).
    pub(crate) wipe: u32,
    /// An owner cancels, or an operator acts (looked at every ten seconds).
    pub(crate) people: u32,
}

impl Weather {
    pub(crate) fn rolled(dice: &mut Dice) -> Self {
        // Each kind of fault is away in some worlds: what one hides another shows.
        let mut some = |max: u64| {
            let chance = dice.between(1, max);
            if dice.chance(600) { u32::try_from(chance).unwrap_or_default() } else { 0 }
        };
        Self {
            lost: some(100),
            copied: some(120),
            shuffled: some(1000),
            late: some(150),
            refused: some(60),
            zombie: some(120),
            ack_lost: some(80),
            crash: some(40),
            answer_lost: some(100),
            database: some(40),
            fails: some(250),
            rejects: some(200),
            calls: some(600),
            call_lost: some(300),
            outage: some(300),
            wipe: some(80),
            people: some(400),
        }
    }

    /// Nothing goes wrong any more; what is asked for is done.
    pub(crate) fn calm(&self) -> Self {
        Self { calls: self.calls, ..Self::default() }
    }
}
