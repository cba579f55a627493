//! The names of the SDK's metrics, and what they count.
//!
//! Invariant: labels are of few values; no id is ever one.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Commands answered, by `outcome`.
pub(crate) const ANSWERED: &str = "amends_participant_answered_total";
/// Messages set aside, by `reason`.
pub(crate) const DEAD: &str = "amends_participant_dead_letters_total";
/// Answers the broker did not take, by `kind`.
pub(crate) const UNSENT: &str = "amends_participant_unsent_total";
/// Commands per transaction.
pub(crate) const BATCH: &str = "amends_participant_batch_commands";
/// Batches that had to be run again, by `why`.
pub(crate) const SETBACKS: &str = "amends_participant_setbacks_total";
/// External calls that ended, by `result`.
pub(crate) const CALLS: &str = "amends_participant_calls_total";
/// External calls held in memory.
pub(crate) const CALLS_HELD: &str = "amends_participant_calls_held";
/// Open rows taken up that somebody else left behind, or whose outcome was unknown.
pub(crate) const RECOVERED: &str = "amends_participant_recovered_total";
/// Events published.
pub(crate) const EVENTS: &str = "amends_participant_events_total";
/// Times the event stream was found to have lost events.
pub(crate) const EVENTS_LOST: &str = "amends_participant_event_stream_losses_total";
/// Inbox rows purged.
pub(crate) const PURGED: &str = "amends_participant_purged_total";

/// Describes them to whoever records.
pub(crate) fn describe() {
    describe_counter!(ANSWERED, "Commands answered, by outcome");
    describe_counter!(DEAD, "Messages set aside as dead letters, by reason");
    describe_counter!(UNSENT, "Answers that the broker did not take, by kind");
    describe_histogram!(BATCH, Unit::Count, "Commands per transaction");
    describe_counter!(SETBACKS, "Batches that had to be run again, by reason");
    describe_counter!(CALLS, "External calls that ended, by result");
    describe_gauge!(CALLS_HELD, "External calls held in memory");
    describe_counter!(RECOVERED, "Open inbox rows taken up again");
    describe_counter!(EVENTS, "Events published");
    describe_counter!(EVENTS_LOST, "Times the event stream was found created anew or set back");
    describe_counter!(PURGED, "Inbox rows purged");
}
