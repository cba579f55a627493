//! Going backward: what is undone, in which order, with which data.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::json;

use crate::script::{failed, ok, order, parcel, rejected, undone};

#[test]
fn a_rejection_undoes_what_was_done_and_tells() {
    let script = order()
        .reserved()
        .mark()
        .reply("charge-payment", rejected("card-declined"))
        .reply("reserve-stock/undo", undone())
        .reply("send-rejection", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn with_nothing_to_undo_it_tells_at_once() {
    let script = order().reply("reserve-stock", rejected("out-of-stock")).reply("send-rejection", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn undoing_goes_in_reverse_order() {
    let script = order()
        .charged()
        .mark()
        .reply("confirm-stock", rejected("reservation-gone"))
        .reply("charge-payment/undo", Outcome::Undone { output: json!({ "refund_id": "re-1" }) })
        .reply("reserve-stock/undo", Outcome::NothingToUndo);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_step_that_backs_off_may_have_run() {
    let script = order().reply("reserve-stock", failed("db")).mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_undo_carries_the_data_of_its_action_and_what_is_added() {
    let script = parcel().reply("book", ok()).mark().cancel();
    let script = script.reply("announce", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_step_without_an_undo_is_kept_if_it_is_done() {
    let script = parcel()
        .reply("book", ok())
        .reply("announce", ok())
        .mark()
        .reply("label", rejected("no-printer"))
        .reply("book/undo", undone());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_step_without_an_undo_that_is_in_flight_is_fenced_first() {
    for (answer, state) in
        [(Outcome::Cancelled, "cancelled"), (ok(), "succeeded"), (rejected("too-late"), "rejected")]
    {
        let script = parcel().reply("book", ok()).cancel();
        assert_eq!(script.state("announce"), "fencing");
        assert_eq!(script.state("book/undo"), "waiting", "what is before it waits");
        let script = script.reply("announce", answer);
        assert_eq!(script.state("announce"), state);
        assert_eq!(script.state("book/undo"), "sent");
        assert_eq!(script.saga.failure.as_ref().unwrap().code, "cancelled");
    }
}

#[test]
fn a_fence_waits_for_whoever_is_still_finding_out() {
    let script = parcel().reply("book", ok()).mark().cancel().reply("announce", Outcome::Pending).timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn used_up_attempts_of_a_step_without_an_undo_are_fenced() {
    let script = parcel().reply("book", ok()).timer().mark().timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_saga_that_has_done_nothing_yet_is_cancelled_with_its_first_step_undone() {
    let script = order().mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn what_was_rejected_is_not_undone() {
    let script = order().reserved().reply("charge-payment", rejected("card-declined"));
    assert_eq!(script.state("charge-payment/undo"), "none");
    assert_eq!(script.state("reserve-stock/undo"), "sent");
}
