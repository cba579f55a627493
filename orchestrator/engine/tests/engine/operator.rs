//! What an operator, or the owner, may do: legal or refused by the saga's state alone.

use amends_contract::Outcome;
use amends_engine::{OperatorAction, allowed};
use insta::assert_snapshot;

use crate::script::{Script, failed, ok, order, rejected, undone};

#[test]
fn retry_now_ends_a_back_off() {
    let script = order().reply("reserve-stock", failed("db")).mark().retry_now();
    assert_snapshot!(script.text(), @r#"
    +0s retry-now by ops: mended
      sent reserve-stock do due_at=+10s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10s
    "#);
}

#[test]
fn retry_now_counts_attempts_anew() {
    let script = order().confirmed().timer().timer().timer();
    assert!(script.saga.flags().needs_attention);
    let script = script.mark().retry_now();
    assert_snapshot!(script.text(), @r#"
    +30s retry-now by ops: mended
      sent send-confirmation do due_at=+40s left=3 send_no=5
      -> notification.send-confirmation send-confirmation do#5 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +40s
    "#);
}

#[test]
fn retry_now_does_not_wait_for_who_is_held() {
    let script = order().timer_with_down(&["inventory"]).mark().retry_now();
    assert_snapshot!(script.text(), @r#"
    +10s retry-now by ops: mended
      sent reserve-stock do due_at=+20s left=3 send_no=2
      deadline_moved deadline_at=+24h
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +20s
    "#);
}

#[test]
fn retry_now_frees_a_stuck_step() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark().retry_now().reserved();
    assert_snapshot!(script.text(), @r#"
    +0s retry-now by ops: mended
      sent reserve-stock do due_at=+10s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10s
    +0s reply reserve-stock do#2 succeeded {"output":{"reservation_id":"r-1"}}
      succeeded reserve-stock output={"reservation_id":"r-1"}
      decided charge-payment do attempts=3 data={"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"} due_at=+10s
      -> payment.charge-payment charge-payment do#1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +10s
    "#);
}

#[test]
fn a_second_cancel_is_under_way_already() {
    let script = order().cancel().mark().cancel();
    assert_snapshot!(script.text(), @"
    +0s cancel by ops: changed my mind
      ignored: underway
    ");
    let script = order().charged().cancel().mark().cancel();
    assert_snapshot!(script.text(), @"
    +0s cancel by ops: changed my mind
      ignored: underway
    ");
}

#[test]
fn behind_the_point_of_no_return_cancel_is_refused() {
    let mut script = order().confirmed();
    assert_snapshot!(script.refused(OperatorAction::Cancel), @"the point of no return is passed: confirm-stock has succeeded; allowed: [retry-now, pause, edit-and-retry, settle-step, abandon]");
}

#[test]
fn nothing_can_be_done_to_what_is_over() {
    let mut script = order().confirmed().reply("send-confirmation", ok());
    assert_snapshot!(script.refused(OperatorAction::Cancel), @"the saga is completed; allowed: []");
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"the saga is completed; allowed: []");
    let mut script = order().reply("reserve-stock", rejected("no")).reply("send-rejection", ok());
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"the saga is compensated; allowed: []");
}

#[test]
fn what_is_allowed_follows_from_the_state() {
    let names = |script: &Script| {
        let allowed = allowed(&script.saga, &script.definition);
        allowed.iter().map(|action| action.name()).collect::<Vec<_>>().join(" ")
    };
    let open = "retry-now cancel compensate pause edit-and-retry settle-step abandon";
    assert_eq!(names(&order()), open);
    assert_eq!(names(&order().charged()), open);
    assert_eq!(names(&order().charged().cancel()), "retry-now cancel compensate pause abandon");
    assert_eq!(names(&order().confirmed()), "retry-now pause edit-and-retry settle-step abandon");
    assert_eq!(names(&order().cancel()), open);
    let backing_off = order().reply("reserve-stock", failed("db"));
    assert_eq!(names(&backing_off), format!("retry-now skip-wait {}", &open[10..]));
    assert_eq!(
        names(&backing_off.pause()),
        "cancel compensate pause resume edit-and-retry settle-step abandon"
    );
    assert_eq!(names(&order().confirmed().reply("send-confirmation", ok())), "");
}

#[test]
fn a_cancelled_order_settles() {
    let script = order().reserved().cancel().reply("charge-payment/undo", Outcome::NothingToUndo);
    let script = script.reply("reserve-stock/undo", undone()).mark().reply("send-rejection", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply send-rejection do#1 succeeded
      succeeded send-rejection
      done ending=compensated
      !! order.compensated (6/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}
