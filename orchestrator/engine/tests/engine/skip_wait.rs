//! `skip-wait`: whatever only waits for its time.

use amends_contract::Outcome;
use amends_engine::{Begin, Input, OperatorAction};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval, approval_beside_charge, limited, order, order_input};
use crate::script;
use crate::script::{START, Script, failed, ok};

#[test]
fn it_ends_a_back_off_and_gives_no_attempts_back() {
    let script = script::order().reply("reserve-stock", failed("db")).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      sent reserve-stock do due_at=+10s left=2 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10s
    "#);
}

#[test]
fn it_ends_a_back_off_of_a_fence_and_of_an_undo() {
    let script = script::order().charged().cancel().reply("confirm-stock", failed("db")).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=2 send_no=3
      -> inventory.fence confirm-stock do#3 of +0s {}
      = running, due +10s
    "#);
    let script = script::order().cancel().reply("reserve-stock/undo", failed("db")).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      sent reserve-stock undo due_at=+10s left=2 send_no=2
      -> inventory.release-stock reserve-stock undo#2 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn a_signal_that_is_not_waited_for_counts_as_late() {
    let script = Script::start(approval(), json!(null)).reply("quote", ok()).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      rejected approve code=timeout message="the signal approval did not come in time"
      turned failure={"code":"timeout","detail":"the signal approval did not come in time","step":"approve"} undo=["quote"]
      decided quote undo attempts=3 due_at=+10s
      -> sales.withdraw quote undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn a_signal_that_need_not_come_is_done_without() {
    let script = Script::start(approval(), json!(null)).reply("quote", ok());
    let signal =
        Input::Signal { name: "approval".parse().unwrap(), data: json!(1).into(), actor: "boss".to_owned() };
    let script = script.input(signal).reply("ship", ok()).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      succeeded listen
      done ending=completed
      !! approval.completed (5/completed)
      = completed
    "#);
}

#[test]
fn all_waits_end_together() {
    let script = Script::start(approval_beside_charge(), Value::Null).reply("hold", failed("db"));
    let script = script.reply("charge", failed("db")).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      rejected approve code=timeout message="the signal approval did not come in time"
      turned failure={"code":"timeout","detail":"the signal approval did not come in time","step":"approve"} undo=["hold","charge"]
      unknown hold
      unknown charge
      decided charge undo attempts=3 due_at=+10s
      decided hold undo attempts=3 due_at=+10s
      -> payment.refund charge undo#1 undoes do/1 of +0s {}
      -> warehouse.release hold undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn it_ends_the_wait_for_the_start() {
    let begin = Begin { start_at: Some(START.plus_ms(3_600_000)), ..Begin::from(order_input()) };
    let script = Script::begin(order(), begin).mark().skip_wait();
    assert_snapshot!(script.text(), @r#"
    +0s skip-wait by ops: no time
      begun
      decided reserve-stock do attempts=3 data={"lines":[{"quantity":2,"sku":"TEA-1"}]} due_at=+10s
      -> inventory.reserve-stock reserve-stock do#1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +10s
    "#);
}

#[test]
fn without_a_wait_it_is_refused() {
    let refused = |mut script: Script| script.refused(OperatorAction::SkipWait);
    assert_snapshot!(refused(script::order()), @"nothing is backing off, no signal is awaited, and the saga has begun; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let pending = script::order().reply("reserve-stock", Outcome::Pending);
    let stuck = script::order().reply("reserve-stock", Outcome::Conflict);
    let queued = Script::start(limited(), Value::Null);
    for script in [pending, stuck, queued] {
        assert!(refused(script).starts_with("nothing is backing off"));
    }
    assert_snapshot!(refused(script::order().reply("reserve-stock", failed("db")).pause()), @"the saga is paused: resume it first; allowed: [cancel, compensate, pause, resume, edit-and-retry, settle-step, abandon]");
}
