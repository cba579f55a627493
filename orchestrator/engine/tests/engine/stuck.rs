//! What makes a step stuck, and what frees it.

use amends_contract::{COMMAND_BYTES_MAX, Outcome};
use amends_engine::{Input, ReplyInput, open_commands};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{compile, order_input};
use crate::script::{Script, edit, ok, order, rejected, succeeded, undone};

#[test]
fn conflict_parks_the_saga() {
    let script = order().reply("reserve-stock", Outcome::Conflict);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 conflict
      stuck reserve-stock do at={"why":"conflict"}
      !! order.parked (2/parked)
      = parked, needs attention, due +24h
    "#);
}

#[test]
fn expired_parks_the_saga() {
    let script = order().reply("reserve-stock", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 expired
      stuck reserve-stock do at={"why":"expired"}
      !! order.parked (2/parked)
      = parked, needs attention, due +24h
    "#);
}

#[test]
fn conflict_and_expired_of_an_older_sending_say_nothing() {
    let script = order().timer().mark();
    let script = script.reply_to("reserve-stock", 1, Outcome::Conflict);
    let script = script.reply_to("reserve-stock", 1, Outcome::Expired);
    assert_snapshot!(script.text(), @"
    +10s reply reserve-stock do#1 conflict
      ignored: stale
    +10s reply reserve-stock do#1 expired
      ignored: stale
    ");
}

#[test]
fn a_cancellation_that_nobody_asked_for_is_stuck() {
    let script = order().reply("reserve-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 cancelled
      stuck reserve-stock do at={"why":"cancelled"}
      !! order.parked (2/parked)
      = parked, needs attention, due +24h
    "#);
    // It never ran, so there is nothing to undo.
    let script = script.mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"}
      cancelled reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
}

#[test]
fn a_rejected_retriable_step_is_stuck() {
    let script = order().confirmed().mark().reply("send-confirmation", rejected("no-such-address"));
    assert_snapshot!(script.text(), @r#"
    +0s reply send-confirmation do#1 rejected {"code":"no-such-address","message":"no: no-such-address"}
      stuck send-confirmation do at={"detail":"no-such-address: no: no-such-address","why":"rejected"}
      !! order.parked (5/parked)
      = parked, needs attention, due +24h
    "#);
    let script = script.mark().retry_now().reply_to("send-confirmation", 1, rejected("no-such-address"));
    assert_snapshot!(script.text(), @r#"
    +0s retry-now by ops: mended
      sent send-confirmation do due_at=+10s left=3 send_no=2
      -> notification.send-confirmation send-confirmation do#2 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    +0s reply send-confirmation do#1 rejected {"code":"no-such-address","message":"no: no-such-address"}
      stuck send-confirmation do at={"detail":"no-such-address: no: no-such-address","why":"rejected"}
      !! order.parked (7/parked)
      = parked, needs attention, due +24h
    "#);
}

#[test]
fn a_rejected_step_of_on_compensated_is_stuck() {
    let script = order().reply("reserve-stock", rejected("out-of-stock"));
    let script = script.mark().reply("send-rejection", rejected("no-such-address"));
    assert_snapshot!(script.text(), @r#"
    +0s reply send-rejection do#1 rejected {"code":"no-such-address","message":"no: no-such-address"}
      stuck send-rejection do at={"detail":"no-such-address: no: no-such-address","why":"rejected"}
      !! order.parked (3/parked) {"code":"out-of-stock","detail":"no: out-of-stock","step":"reserve-stock"}
      = parked, needs attention
    "#);
}

#[test]
fn an_undo_may_not_be_refused() {
    let script = order().reserved().reply("charge-payment", rejected("card-declined")).mark();
    for outcome in [rejected("never"), Outcome::Cancelled, Outcome::Conflict, Outcome::Expired, ok()] {
        let script = order().reserved().reply("charge-payment", rejected("card-declined"));
        let script = script.reply("reserve-stock/undo", outcome);
        assert_eq!(script.state("reserve-stock/undo"), "stuck");
        assert_eq!(script.saga.status().as_str(), "parked");
        let script = script.retry_now().reply("reserve-stock/undo", undone());
        assert_eq!(script.saga.status().as_str(), "compensating");
    }
    let script = script.reply("reserve-stock/undo", rejected("never"));
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock undo#1 rejected {"code":"never","message":"no: never"}
      stuck reserve-stock undo at={"detail":"never: no: never","why":"rejected"}
      !! order.parked (4/parked) {"code":"card-declined","detail":"no: card-declined","step":"charge-payment"}
      = parked, needs attention
    "#);
}

#[test]
fn a_reply_against_its_schema_is_stuck_whichever_sending_it_answers() {
    let script = order().timer();
    let outcome = succeeded(json!({ "reservation": 7 }));
    let violation = Some("/reservation_id is missing".to_owned());
    let reply = ReplyInput { send_no: 1, violation, ..script.answer("reserve-stock", outcome) };
    let script = script.mark().input(Input::Reply(reply));
    assert_snapshot!(script.text(), @r#"
    +10s reply reserve-stock do#1 succeeded {"output":{"reservation":7}} (violates: /reservation_id is missing)
      stuck reserve-stock do at={"detail":"/reservation_id is missing","why":"reply"}
      !! order.parked (3/parked)
      = parked, needs attention, due +24h
    "#);
    let script = script.mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +10s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+20s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +10s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +20s
    "#);
}

#[test]
fn an_answer_of_the_other_direction_is_stuck() {
    let script = order().reply("reserve-stock", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 undone
      stuck reserve-stock do at={"detail":"\"undone\" is no answer to this command","why":"reply"}
      !! order.parked (2/parked)
      = parked, needs attention, due +24h
    "#);
}

#[test]
fn a_late_success_frees_the_step() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark().reserved();
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 succeeded {"output":{"reservation_id":"r-1"}}
      succeeded reserve-stock output={"reservation_id":"r-1"}
      decided charge-payment do attempts=3 data={"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"} due_at=+10s
      -> payment.charge-payment charge-payment do#1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +10s
    "#);
}

#[test]
fn a_late_rejection_settles_a_stuck_step() {
    let script = order().reply("reserve-stock", Outcome::Expired).mark();
    let script = script.reply("reserve-stock", rejected("out-of-stock"));
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 rejected {"code":"out-of-stock","message":"no: out-of-stock"}
      rejected reserve-stock code=out-of-stock message="no: out-of-stock"
      turned failure={"code":"out-of-stock","detail":"no: out-of-stock","step":"reserve-stock"}
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"out-of-stock","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"out-of-stock","to":"ada@example.org"}
      = compensating, due +10s
    "#);
}

#[test]
fn another_reason_is_noted_and_the_same_is_a_duplicate() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark();
    let script = script
        .reply("reserve-stock", Outcome::Conflict)
        .reply("reserve-stock", Outcome::Expired)
        .reply("reserve-stock", Outcome::Pending);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 conflict
      ignored: duplicate
    +0s reply reserve-stock do#1 expired
      stuck reserve-stock do at={"why":"expired"}
      = parked, needs attention, due +24h
    +0s reply reserve-stock do#1 pending
      ignored: stale
    "#);
}

#[test]
fn an_expression_without_a_value_behind_the_pivot_is_stuck() {
    let mut input = order_input();
    input.as_object_mut().unwrap().remove("email");
    let script = Script::start(crate::definitions::order(), input).charged().mark();
    let script = script.reply("confirm-stock", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#1 succeeded
      succeeded confirm-stock
      stuck send-confirmation do at={"detail":"=input.email: no-such-key: there is no \"email\"","why":"expression"}
      !! order.parked (4/parked)
      = parked, needs attention, due +24h
    "#);
    let script = script.mark().retry_now();
    assert_snapshot!(script.text(), @r#"
    +0s retry-now by ops: mended
      freed send-confirmation do
      stuck send-confirmation do at={"detail":"=input.email: no-such-key: there is no \"email\"","why":"expression"}
      = parked, needs attention, due +24h
    "#);
}

#[test]
fn an_undo_that_cannot_be_asked_for_is_stuck() {
    let definition = compile(UNDOABLE);
    let script = Script::start(definition.clone(), json!({ "small": "s" })).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["only"]
      unknown only
      stuck only undo at={"detail":"=input.large: no-such-key: there is no \"large\"","why":"expression"}
      !! undoable.parked (2/parked) {"code":"cancelled","detail":"changed my mind"}
      = parked, needs attention
    "#);
    let late = script.mark().reply("only", rejected("no"));
    assert_snapshot!(late.text(), @r#"
    +0s reply only do#1 rejected {"code":"no","message":"no: no"}
      rejected only code=no message="no: no"
      nothing_to_undo only
      done ending=compensated
      !! undoable.compensated (3/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);

    let large = json!({ "small": "s", "large": "l".repeat(600 * 1024) });
    let script = Script::start(definition, large).mark().cancel();
    assert_eq!(script.state("only/undo"), "stuck");
    assert!(script.text().contains("too_large"), "{}", script.text());
}

/// The undo names more than the action did, so what just fits the one does not fit the other.
#[test]
fn an_undo_that_outgrows_its_action_is_stuck() {
    let definition =
        compile(&UNDOABLE.replace("{ call: shop.undo, with: { large: =input.large } }", "shop.undo"));
    let start =
        |bytes: usize| Script::start(definition.clone(), json!({ "small": "s".repeat(bytes) })).mark();
    let mut least = open_commands(&start(1).saga, &definition).remove(0);
    least.send_no = u32::MAX;
    let bytes = serde_json::to_vec(&least.to_envelope()).unwrap().len();
    let script = start(1 + COMMAND_BYTES_MAX - bytes);
    assert_eq!(script.state("only"), "sent");
    let mut script = script.cancel();
    assert!(script.text().contains("too_large"), "{}", script.text());
    assert_snapshot!(script.refused(edit("only/undo", Value::Null)), @"the command has 524352 bytes; at most 524288 are sent; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_eq!(script.edit("only/undo", json!({ "small": "s" })).state("only/undo"), "sent");
}

const UNDOABLE: &str = "
saga: undoable
version: 1
steps:
  - name: only
    kind: compensatable
    call: shop.do
    with: { small: =input.small }
    undo: { call: shop.undo, with: { large: =input.large } }
";
