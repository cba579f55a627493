//! A pause: nothing leaves, clocks stand still, and what participants say still counts.

use amends_contract::Outcome;
use amends_engine::{Begin, Input, OperatorAction, PausedBy, Saga};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval, approval_beside_charge, limited, order, order_input};
use crate::script;
use crate::script::{START, Script, failed, ok, rejected, undone};

fn paused() -> Script {
    script::order().reserved().mark().after(2_000).pause()
}

fn pause_by(by: PausedBy) -> OperatorAction {
    OperatorAction::Pause { by }
}

fn resume_by(by: PausedBy) -> OperatorAction {
    OperatorAction::Resume { by }
}

#[test]
fn it_goes_on_where_it_was_and_asks_again_what_may_be_lost() {
    let script = paused().after(3_600_000).resume();
    assert_snapshot!(script.text(), @r#"
    +2s pause by ops: wait
      paused
      = running, paused
    +3602s resume by ops: go on
      resumed shift_ms=3600000
      -> payment.charge-payment charge-payment do#1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +3610s
    "#);
    assert_eq!(script.saga.deadline_at, Some(START.plus_ms(25 * 3_600_000)), "the deadline stood still");
}

#[test]
fn replies_count_but_what_they_lead_to_waits() {
    let script = paused().reply("charge-payment", ok()).after(60_000).resume();
    assert_snapshot!(script.text(), @r#"
    +2s pause by ops: wait
      paused
      = running, paused
    +2s reply charge-payment do#1 succeeded
      succeeded charge-payment
      = running, paused
    +62s resume by ops: go on
      resumed shift_ms=60000
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+72s
      -> inventory.confirm-stock confirm-stock do#1 of +62s {"reservation":"r-1"}
      = running, due +72s
    "#);
}

#[test]
fn the_last_reply_ends_the_saga_only_when_it_goes_on() {
    let script = script::order().confirmed().pause().mark().reply("send-confirmation", ok());
    assert_eq!(script.saga.status().as_str(), "running");
    let script = script.resume();
    assert_snapshot!(script.text(), @r#"
    +0s reply send-confirmation do#1 succeeded
      succeeded send-confirmation
      = running, paused
    +0s resume by ops: go on
      resumed shift_ms=0
      done ending=completed
      !! order.completed (7/completed)
      = completed
    "#);
}

#[test]
fn a_back_off_that_begins_in_a_pause_is_not_longer_than_any_other() {
    let script = paused().after(600_000).reply("charge-payment", failed("db")).after(600_000).resume();
    assert_snapshot!(script.text(), @r#"
    +2s pause by ops: wait
      paused
      = running, paused
    +602s reply charge-payment do#1 failed {"code":"db"}
      backed_off charge-payment do code=db due_at=+2200ms left=2
      = running, paused
    +1202s resume by ops: go on
      resumed shift_ms=1200000
      = running, due +1202200ms
    "#);
}

#[test]
fn pending_in_a_pause_may_take_as_long_as_ever() {
    let script = paused().after(600_000).reply("charge-payment", Outcome::Pending).after(600_000).resume();
    assert_snapshot!(script.text(), @r#"
    +2s pause by ops: wait
      paused
      = running, paused
    +602s reply charge-payment do#1 pending
      pending charge-payment do pending_until=+32s
      = running, paused
    +1202s resume by ops: go on
      resumed shift_ms=1200000
      = running, due +1210s
    "#);
}

#[test]
fn attempts_used_up_in_a_pause_turn_it_but_nothing_leaves() {
    let script = script::order().reserved().timer().timer().mark().pause();
    let script = script.reply("charge-payment", failed("db")).after(60_000).resume();
    assert_snapshot!(script.text(), @r#"
    +20s pause by ops: wait
      paused
      = running, paused
    +20s reply charge-payment do#3 failed {"code":"db"}
      turned failure={"code":"attempts","detail":"3 attempts brought no outcome: db","step":"charge-payment"} undo=["reserve-stock","charge-payment"]
      unknown charge-payment
      = compensating, paused
    +80s resume by ops: go on
      resumed shift_ms=60000
      decided charge-payment undo attempts=4 due_at=+90s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +80s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +90s
    "#);
}

#[test]
fn a_pivot_in_doubt_is_fenced_after_the_pause() {
    let script = script::order().charged().pause().mark().cancel().after(60_000).resume();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=2
      = running, paused
    +60s resume by ops: go on
      resumed shift_ms=60000
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +70s
    "#);
}

#[test]
fn a_rejection_in_a_pause_undoes_after_it() {
    let script = paused().reply("charge-payment", rejected("no-money"));
    assert!(script.saga.due_at().is_none());
    let script = script.after(60_000).resume().reply("reserve-stock/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +2s pause by ops: wait
      paused
      = running, paused
    +2s reply charge-payment do#1 rejected {"code":"no-money","message":"no: no-money"}
      rejected charge-payment code=no-money message="no: no-money"
      turned failure={"code":"no-money","detail":"no: no-money","step":"charge-payment"} undo=["reserve-stock"]
      = compensating, paused
    +62s resume by ops: go on
      resumed shift_ms=60000
      decided reserve-stock undo attempts=3 due_at=+72s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +62s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +72s
    +62s reply reserve-stock undo#1 undone
      undone reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"no-money","to":"ada@example.org"} due_at=+72s
      -> notification.send-rejection send-rejection do#1 of +62s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"no-money","to":"ada@example.org"}
      = compensating, due +72s
    "#);
}

#[test]
fn the_timer_finds_nothing_due() {
    let blank = Input::Timer { blind: false, down: Default::default(), slots: Default::default() };
    let script = paused().mark().after(7_200_000).input(blank);
    assert_snapshot!(script.text(), @r#"
    +7202s timer
      ignored: paused
    "#);
}

#[test]
fn the_pause_of_an_operator_and_of_a_definition_stand_beside_each_other() {
    let script = paused().mark().after(1_000).operator(pause_by(PausedBy::Definition), "a bad version");
    let script = script.after(1_000).resume().after(1_000);
    let script = script.operator(resume_by(PausedBy::Definition), "mended");
    assert_snapshot!(script.text(), @r#"
    +3s pause by ops: a bad version
      paused by=both
      = running, paused
    +4s resume by ops: go on
      paused by=definition
      = running, paused
    +5s resume by ops: mended
      resumed shift_ms=3000
      -> payment.charge-payment charge-payment do#1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +13s
    "#);
}

#[test]
fn one_does_not_resume_what_the_other_paused() {
    let mut script = paused();
    assert_snapshot!(script.refused(resume_by(PausedBy::Definition)), @"not the definition paused the saga but an operator: resume the saga itself; allowed: [cancel, compensate, pause, resume, edit-and-retry, settle-step, abandon]");
    let mut script = script::order().operator(pause_by(PausedBy::Definition), "a bad version");
    assert_snapshot!(script.refused(resume_by(PausedBy::Operator)), @"not the saga is paused but its definition: resume that; allowed: [cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"the saga's definition is paused: resume that first; allowed: [cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let script = script.pause();
    assert_eq!(script.saga.paused.as_ref().unwrap().by, PausedBy::Both);
    let script = script.operator(resume_by(PausedBy::Both), "all is well");
    assert!(script.saga.paused.is_none());
}

#[test]
fn a_second_pause_changes_nothing() {
    assert_snapshot!(paused().mark().pause().text(), @r#"
    +2s pause by ops: wait
      ignored: underway
    "#);
    let both = paused().operator(pause_by(PausedBy::Definition), "too").mark();
    let both = both.pause().operator(pause_by(PausedBy::Definition), "again");
    assert_snapshot!(both.text(), @r#"
    +2s pause by ops: wait
      ignored: underway
    +2s pause by ops: again
      ignored: underway
    "#);
}

#[test]
fn what_would_send_at_once_is_refused() {
    let mut script = paused();
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"the saga is paused: resume it first; allowed: [cancel, compensate, pause, resume, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(script.refused(OperatorAction::SkipWait), @"the saga is paused: resume it first; allowed: [cancel, compensate, pause, resume, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(script::order().refused(resume_by(PausedBy::Operator)), @"the saga is not paused; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
}

#[test]
fn the_wait_for_a_signal_and_for_the_start_stand_still_too() {
    let script = Script::start(approval(), json!(null)).reply("quote", ok()).mark().pause();
    let script = script.after(72 * 3_600_000).resume();
    assert_snapshot!(script.text(), @r#"
    +0s pause by ops: wait
      paused
      = running, awaiting, paused
    +72h resume by ops: go on
      resumed shift_ms=259200000
      = running, awaiting, due +120h
    "#);

    let begin = Begin { start_at: Some(START.plus_ms(60_000)), ..Begin::from(order_input()) };
    let script = Script::begin(order(), begin).mark().pause().after(3_600_000).resume();
    assert_snapshot!(script.text(), @r#"
    +0s pause by ops: wait
      paused
      = running, paused
    +1h resume by ops: go on
      resumed shift_ms=3600000
      = running, due +3660s
    "#);
}

#[test]
fn a_signal_counts_in_a_pause() {
    let signal =
        Input::Signal { name: "approval".parse().unwrap(), data: json!(1).into(), actor: "boss".to_owned() };
    let script = Script::start(approval(), json!(null)).reply("quote", ok()).pause().mark();
    let script = script.input(signal).resume();
    assert_snapshot!(script.text(), @r#"
    +0s signal approval by boss: 1
      succeeded approve output=1
      = running, paused
    +0s resume by ops: go on
      resumed shift_ms=0
      decided ship do attempts=3 data={"approved":1} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"approved":1}
      = running, due +10s
    "#);
}

#[test]
fn no_place_is_wanted_in_a_pause() {
    let script = Script::start(limited(), Value::Null);
    assert_eq!(wanted(&script.saga), 1);
    let script = script.pause();
    assert_eq!(wanted(&script.saga), 0);
    assert_eq!(wanted(&script.resume().saga), 1);
}

#[test]
fn a_paused_saga_is_not_parked() {
    // `ship` is not stuck, but nobody knows before it goes on what else would be.
    let script = Script::start(approval_beside_charge(), Value::Null).reply("hold", Outcome::Conflict);
    let script = script.reply("charge", ok()).pause();
    assert_eq!(script.saga.status().as_str(), "running");
    assert!(script.saga.flags().needs_attention && script.saga.flags().paused);
    let script =
        script::order().reply("reserve-stock", Outcome::Conflict).pause().mark().after(1_000).resume();
    assert_snapshot!(script.text(), @r#"
    +1s resume by ops: go on
      resumed shift_ms=1000
      !! order.parked (4/parked)
      = parked, needs attention, due +86401s
    "#);
}

#[test]
fn what_is_compensated_can_be_paused() {
    let script = script::order().charged().reply("confirm-stock", rejected("gone")).mark().pause();
    let script = script.reply("charge-payment/undo", undone()).after(5_000).resume();
    assert_snapshot!(script.text(), @r#"
    +0s pause by ops: wait
      paused
      = compensating, paused
    +0s reply charge-payment undo#1 undone
      undone charge-payment
      = compensating, paused
    +5s resume by ops: go on
      resumed shift_ms=5000
      decided reserve-stock undo attempts=3 due_at=+15s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +5s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +15s
    "#);
}

/// How many of its steps want or have a place.
fn wanted(saga: &Saga) -> usize {
    saga.places().filter(|(_, place)| place.is_some()).count()
}
