//! The pivot is never guessed.

use amends_contract::Outcome;
use insta::assert_snapshot;

use crate::script::{Script, failed, ok, order, rejected};

/// The pivot's attempts are used up.
fn doubted() -> Script {
    order().charged().timer().timer().mark().timer()
}

#[test]
fn used_up_attempts_send_a_fence() {
    assert_snapshot!(doubted().text(), @"");
}

#[test]
fn cancelled_turns_with_the_reason_of_the_doubt() {
    let script = doubted().mark().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn rejected_turns_with_the_rejection() {
    let script = doubted().mark().reply_to("confirm-stock", 2, rejected("reservation-gone"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn succeeded_goes_on() {
    let script = doubted().mark().reply_to("confirm-stock", 1, ok());
    assert_snapshot!(script.text(), @"");
    assert_eq!(script.saga.doubt, None);
}

#[test]
fn pending_waits() {
    let script = doubted().mark().reply("confirm-stock", Outcome::Pending).timer();
    assert_snapshot!(script.text(), @"");
    assert_eq!(script.saga.status().as_str(), "running");
}

#[test]
fn a_fence_is_asked_for_ever() {
    let script = doubted().reply("confirm-stock", failed("db")).timer().timer().mark().timer().timer();
    assert_snapshot!(script.text(), @"");
    let script = script.timer_with_down(&["inventory"]);
    assert!(script.saga.flags().held);
}

#[test]
fn cancel_is_free_while_the_pivot_waits() {
    let script = order().reserved().mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn cancel_asks_first_while_the_pivot_is_in_flight() {
    let script = order().charged().mark().cancel().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_order_may_still_end_confirmed_after_a_cancel() {
    let script =
        order().charged().cancel().mark().reply("confirm-stock", ok()).reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_pivot_that_backs_off_is_fenced_at_once() {
    let script = order().charged().reply("confirm-stock", failed("db")).mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_stuck_pivot_is_fenced_when_it_is_cancelled() {
    let script = order().charged().reply("confirm-stock", Outcome::Conflict).mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_pivot_that_was_cancelled_by_somebody_else_need_not_be_fenced() {
    let script = order().charged().mark().reply("confirm-stock", Outcome::Cancelled).cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn the_owners_wish_goes_before_another_doubt() {
    let script = doubted().mark().cancel().cancel().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_fence_that_finds_out_for_too_long_is_stuck_and_asked_again_by_hand() {
    let mut script = doubted();
    while script.state("confirm-stock") != "stuck" {
        script = script.reply("confirm-stock", Outcome::Pending).timer();
    }
    assert_eq!(script.saga.status().as_str(), "parked");
    let script = script.mark().retry_now().reply("confirm-stock", Outcome::Expired);
    assert_snapshot!(script.text(), @"");
    let script = script.mark().reply_to("confirm-stock", 1, ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn after_success_the_deadline_that_was_cut_short_marks_it_overdue() {
    let script = order().charged().after(24 * 3_600_000).timer().reply("confirm-stock", ok()).mark().timer();
    assert_snapshot!(script.text(), @"");
}
