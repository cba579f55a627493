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
    assert_snapshot!(doubted().text(), @r#"
    +30s timer
      doubted failure={"code":"attempts","detail":"3 attempts brought no outcome: there was no reply to the last one","step":"confirm-stock"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+40s left=3 send_no=4
      -> inventory.fence confirm-stock do#4 of +0s {}
      = running, due +40s
    "#);
}

#[test]
fn cancelled_turns_with_the_reason_of_the_doubt() {
    let script = doubted().mark().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +30s reply confirm-stock do#4 cancelled
      cancelled confirm-stock
      turned failure={"code":"attempts","detail":"3 attempts brought no outcome: there was no reply to the last one","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+40s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +30s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +40s
    "#);
}

#[test]
fn rejected_turns_with_the_rejection() {
    let script = doubted().mark().reply_to("confirm-stock", 2, rejected("reservation-gone"));
    assert_snapshot!(script.text(), @r#"
    +30s reply confirm-stock do#2 rejected {"code":"reservation-gone","message":"no: reservation-gone"}
      rejected confirm-stock code=reservation-gone message="no: reservation-gone"
      turned failure={"code":"reservation-gone","detail":"no: reservation-gone","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+40s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +30s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +40s
    "#);
}

#[test]
fn succeeded_goes_on() {
    let script = doubted().mark().reply_to("confirm-stock", 1, ok());
    assert_snapshot!(script.text(), @r#"
    +30s reply confirm-stock do#1 succeeded
      succeeded confirm-stock
      resolved
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+40s
      -> notification.send-confirmation send-confirmation do#1 of +30s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +40s
    "#);
    assert_eq!(script.saga.doubt, None);
}

#[test]
fn pending_waits() {
    let script = doubted().mark().reply("confirm-stock", Outcome::Pending).timer();
    assert_snapshot!(script.text(), @r#"
    +30s reply confirm-stock do#4 pending
      pending confirm-stock do pending_until=+60s
      = running, due +40s
    +40s timer
      sent confirm-stock do ask={"fence":"pivot"} due_at=+50s left=3 send_no=5
      -> inventory.fence confirm-stock do#5 of +0s {}
      = running, due +50s
    "#);
    assert_eq!(script.saga.status().as_str(), "running");
}

#[test]
fn a_fence_is_asked_for_ever() {
    let script = doubted().reply("confirm-stock", failed("db")).timer().timer().mark().timer().timer();
    assert_snapshot!(script.text(), @r#"
    +50200ms timer
      sent confirm-stock do ask={"fence":"pivot"} due_at=+80200ms left=0 send_no=7
      -> inventory.fence confirm-stock do#7 of +0s {}
      = running, needs attention, due +80200ms
    +80200ms timer
      sent confirm-stock do ask={"fence":"pivot"} due_at=+110200ms left=0 send_no=8
      -> inventory.fence confirm-stock do#8 of +0s {}
      = running, needs attention, due +110200ms
    "#);
    let script = script.timer_with_down(&["inventory"]);
    assert!(script.saga.flags().held);
}

#[test]
fn cancel_is_free_while_the_pivot_waits() {
    let script = order().reserved().mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      unknown charge-payment
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn cancel_asks_first_while_the_pivot_is_in_flight() {
    let script = order().charged().mark().cancel().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=2
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +10s
    +0s reply confirm-stock do#2 cancelled
      cancelled confirm-stock
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn an_order_may_still_end_confirmed_after_a_cancel() {
    let script =
        order().charged().cancel().mark().reply("confirm-stock", ok()).reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#2 succeeded
      succeeded confirm-stock
      resolved
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    +0s reply send-confirmation do#1 succeeded
      succeeded send-confirmation
      done ending=completed
      !! order.completed (6/completed)
      = completed
    "#);
}

#[test]
fn a_pivot_that_backs_off_is_fenced_at_once() {
    let script = order().charged().reply("confirm-stock", failed("db")).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=2
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +10s
    "#);
}

#[test]
fn a_stuck_pivot_is_fenced_when_it_is_cancelled() {
    let script = order().charged().reply("confirm-stock", Outcome::Conflict).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=2
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +10s
    "#);
}

#[test]
fn a_pivot_that_was_cancelled_by_somebody_else_need_not_be_fenced() {
    let script = order().charged().mark().reply("confirm-stock", Outcome::Cancelled).cancel();
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#1 cancelled
      stuck confirm-stock do at={"why":"cancelled"}
      !! order.parked (4/parked)
      = parked, needs attention, due +24h
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      cancelled confirm-stock
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn the_owners_wish_goes_before_another_doubt() {
    let script = doubted().mark().cancel().cancel().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +30s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      = running, due +40s
    +30s cancel by ops: changed my mind
      ignored: underway
    +30s reply confirm-stock do#4 cancelled
      cancelled confirm-stock
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+40s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +30s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +40s
    "#);
}

#[test]
fn a_fence_that_finds_out_for_too_long_is_stuck_and_asked_again_by_hand() {
    let script = doubted().pending_until_stuck("confirm-stock");
    assert_eq!(script.saga.status().as_str(), "parked");
    let script = script.mark().retry_now().reply("confirm-stock", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +60s retry-now by ops: mended
      sent confirm-stock do ask={"fence":"pivot"} due_at=+70s left=3 send_no=7
      -> inventory.fence confirm-stock do#7 of +0s {}
      = running, due +70s
    +60s reply confirm-stock do#7 expired
      stuck confirm-stock do at={"ask":{"fence":"pivot"},"why":"expired"}
      !! order.parked (14/parked)
      = parked, needs attention
    "#);
    let script = script.mark().reply_to("confirm-stock", 1, ok());
    assert_snapshot!(script.text(), @r#"
    +60s reply confirm-stock do#1 succeeded
      succeeded confirm-stock
      resolved
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+70s
      -> notification.send-confirmation send-confirmation do#1 of +60s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +70s
    "#);
}

#[test]
fn a_fence_that_is_stuck_can_still_be_answered() {
    let script = doubted().reply("confirm-stock", Outcome::Expired).mark();
    assert_snapshot!(script.reply("confirm-stock", Outcome::Cancelled).text(), @r#"
    +30s reply confirm-stock do#4 cancelled
      cancelled confirm-stock
      turned failure={"code":"attempts","detail":"3 attempts brought no outcome: there was no reply to the last one","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+40s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +30s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +40s
    "#);
}

#[test]
fn after_success_the_deadline_that_was_cut_short_marks_it_overdue() {
    let script = order().charged().after(24 * 3_600_000).timer().reply("confirm-stock", ok()).mark().timer();
    assert_snapshot!(script.text(), @"
    +24h timer
      overdue
      = running, needs attention, overdue, due +86410s
    ");
}
