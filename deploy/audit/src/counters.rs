//! What an audit has seen: one that saw nothing has proved nothing.
//!
//! Invariant: each counts what is stored, not what happened: what was wiped is not counted.

use std::fmt;

use serde::Serialize;

/// How much of each there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Sagas looked at.
    pub sagas: u64,
    /// Those that ended with every step done.
    pub completed: u64,
    /// Those that ended with everything undone.
    pub compensated: u64,
    /// Those that an operator gave up.
    pub abandoned: u64,
    /// Those that are parked.
    pub parked: u64,
    /// Those that are under way.
    pub open: u64,
    /// Sagas that were deleted when their time was over, and that participants remember: of those nothing is checked.
    pub deleted: u64,
    /// Sagas whose definition this version does not know: their order of steps is not checked.
    pub unknown_definitions: u64,
    /// Journal entries.
    pub entries: u64,
    /// Effects that were decided.
    pub effects: u64,
    /// Sends of them, as journalled.
    pub sends: u64,
    /// Replies that were journalled after a later sending, or after the saga had turned away from the step.
    pub late_replies: u64,
    /// Replies that name a redelivery as what made the effect.
    pub redeliveries: u64,
    /// Effects that were asked about by a fence.
    pub fences: u64,
    /// Steps given up without an outcome.
    pub unknown: u64,
    /// `conflict`, in journals and in the stream of replies.
    pub conflicts: u64,
    /// Steps that were settled by hand: no participant can vouch for them.
    pub by_hand: u64,
    /// Operators' actions.
    pub operator_actions: u64,
    /// Inbox rows.
    pub inbox_rows: u64,
    /// Those of them that are tombstones.
    pub tombstones: u64,
    /// Undos that found nothing to undo.
    pub nothing_to_undo: u64,
    /// Charges at the provider.
    pub charges: u64,
    /// Refunds at the provider.
    pub refunds: u64,
    /// Stock-keeping units.
    pub skus: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Mails in the mail catcher.
    pub mails: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Commands in their stream.
    pub stored_commands: u64,
    /// Those of them that were read to the end and acknowledged.
    pub acknowledged_commands: u64,
    /// Replies in their stream.
    pub stored_replies: u64,
    /// Recorded replies that are in the stream more than once.
    pub repeated_replies: u64,
    /// What abandoned sagas still hold.
    pub left_behind: u64,
}

impl Counters {
    /// All of them, by name.
    #[must_use]
    pub fn list(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("sagas", self.sagas),
            ("completed", self.completed),
            ("compensated", self.compensated),
            ("abandoned", self.abandoned),
            ("parked", self.parked),
            ("open", self.open),
            ("deleted", self.deleted),
            ("unknown definitions", self.unknown_definitions),
            ("journal entries", self.entries),
            ("effects", self.effects),
            ("sends", self.sends),
            ("late replies", self.late_replies),
            ("redeliveries", self.redeliveries),
            ("fences", self.fences),
            ("unknown steps", self.unknown),
            ("conflicts", self.conflicts),
            ("settled by hand", self.by_hand),
            ("operators' actions", self.operator_actions),
            ("inbox rows", self.inbox_rows),
            ("tombstones", self.tombstones),
            ("nothing to undo", self.nothing_to_undo),
            ("charges", self.charges),
            ("refunds", self.refunds),
            ("stock-keeping units", self.skus),
            ("idempotency keys", self.keys),
            ("mails", self.mails),
            ("dead letters", self.dead_letters),
            ("commands stored", self.stored_commands),
            ("commands acknowledged", self.acknowledged_commands),
            ("replies stored", self.stored_replies),
            ("replies repeated", self.repeated_replies),
            ("left behind", self.left_behind),
        ]
    }
}

/// A line each, without those that are zero.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.list().into_iter().filter(|(_, count)| *count > 0);
        seen.into_iter().try_for_each(|(name, count)| writeln!(f, "  {name:<24}{count:>12}"))
    }
}
