//! What an operator, or the owner, may do: legal or refused by the saga's state alone.

use amends_contract::Outcome;
use amends_engine::{OperatorAction, allowed};
use insta::assert_snapshot;

use crate::script::{Script, failed, ok, order, rejected, undone};

#[test]
fn retry_now_ends_a_back_off() {
    let script = order().reply("reserve-stock", failed("db")).mark().retry_now();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn retry_now_counts_attempts_anew() {
    let script = order().confirmed().timer().timer().timer();
    assert!(script.saga.flags().needs_attention);
    let script = script.mark().retry_now();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn retry_now_does_not_wait_for_who_is_held() {
    let script = order().timer_with_down(&["inventory"]).mark().retry_now();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn retry_now_frees_a_stuck_step() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark().retry_now().reserved();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_second_cancel_is_under_way_already() {
    let script = order().cancel().mark().cancel();
    assert_snapshot!(script.text(), @"");
    let script = order().charged().cancel().mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn behind_the_point_of_no_return_cancel_is_refused() {
    let mut script = order().confirmed();
    assert_snapshot!(script.refused(OperatorAction::Cancel), @"");
}

#[test]
fn nothing_can_be_done_to_what_is_over() {
    let mut script = order().confirmed().reply("send-confirmation", ok());
    assert_snapshot!(script.refused(OperatorAction::Cancel), @"");
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"");
    let mut script = order().reply("reserve-stock", rejected("no")).reply("send-rejection", ok());
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"");
}

#[test]
fn what_is_allowed_follows_from_the_state() {
    let names = |script: &Script| {
        let allowed = allowed(&script.saga, &script.definition);
        allowed.iter().map(OperatorAction::name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(&order()), "retry-now cancel");
    assert_eq!(names(&order().charged()), "retry-now cancel");
    assert_eq!(names(&order().confirmed()), "retry-now");
    assert_eq!(names(&order().cancel()), "retry-now cancel");
    assert_eq!(names(&order().confirmed().reply("send-confirmation", ok())), "");
}

#[test]
fn a_cancelled_order_settles() {
    let script = order().reserved().cancel().reply("charge-payment/undo", Outcome::NothingToUndo);
    let script = script.reply("reserve-stock/undo", undone()).mark().reply("send-rejection", ok());
    assert_snapshot!(script.text(), @"");
}
