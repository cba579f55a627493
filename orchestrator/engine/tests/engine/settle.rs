//! `settle-step`: an operator's word, when no participant will say how an effect ended.

use std::sync::Arc;

use amends_contract::Outcome;
use amends_definition::{Check, Definition};
use amends_engine::{Input, ReplyInput, settleable};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval, limited, parcel, parcels};
use crate::script;
use crate::script::{Script, edit, failed, ok, rejected, settle, succeeded};

/// The charge is in flight, and somebody says that it is done.
fn settled() -> Script {
    script::order().reserved().mark().settle("charge-payment", json!({ "charge_id": "by-hand" }))
}

#[test]
fn the_participant_is_asked_first() {
    let script = settled().reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      intended charge-payment do then={"settle":{"output":{"charge_id":"by-hand"}}}
      sent charge-payment do ask={"fence":"settle"} due_at=+10s left=3 send_no=2
      -> payment.fence charge-payment do#2 of +0s {}
      = running, due +10s
    +0s reply charge-payment do#2 cancelled
      succeeded charge-payment by_hand=true output={"charge_id":"by-hand"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}

#[test]
fn what_the_participant_did_goes_before_the_word() {
    let script = settled().mark().reply("charge-payment", succeeded(json!({ "charge_id": "ch-1" })));
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 succeeded {"output":{"charge_id":"ch-1"}}
      dropped charge-payment do
      succeeded charge-payment output={"charge_id":"ch-1"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}

#[test]
fn the_word_counts_when_nothing_more_can_run() {
    let script = settled().mark().reply("charge-payment", rejected("no-money"));
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 rejected {"code":"no-money","message":"no: no-money"}
      succeeded charge-payment by_hand=true output={"charge_id":"by-hand"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
    let script = settled().mark().reply("charge-payment", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 expired
      succeeded charge-payment by_hand=true output={"charge_id":"by-hand"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
    // What a command was answered proves nothing.
    let script = settled().mark().reply_to("charge-payment", 1, Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 expired
      ignored: stale
    "#);
}

#[test]
fn while_the_participant_finds_out_the_word_waits() {
    let script = settled().mark().reply("charge-payment", Outcome::Pending).timer();
    let script =
        script.reply("charge-payment", failed("db")).timer().reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 pending
      pending charge-payment do pending_until=+30s
      = running, due +10s
    +10s timer
      sent charge-payment do ask={"fence":"settle"} due_at=+20s left=3 send_no=3
      -> payment.fence charge-payment do#3 of +0s {}
      = running, due +20s
    +10s reply charge-payment do#3 failed {"code":"db"}
      backed_off charge-payment do code=db due_at=+10200ms left=2
      = running, due +10200ms
    +10200ms timer
      sent charge-payment do ask={"fence":"settle"} due_at=+20200ms left=2 send_no=4
      -> payment.fence charge-payment do#4 of +0s {}
      = running, due +20200ms
    +10200ms reply charge-payment do#4 cancelled
      succeeded charge-payment by_hand=true output={"charge_id":"by-hand"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+20200ms
      -> inventory.confirm-stock confirm-stock do#1 of +10200ms {"reservation":"r-1"}
      = running, due +20200ms
    "#);
}

#[test]
fn an_output_that_breaks_its_schema_is_replaced_and_the_participant_undoes() {
    let script = settled().mark();
    let reply = script.answer("charge-payment", succeeded(json!({ "charge": 1 })));
    let reply = ReplyInput { violation: Some("no charge_id".to_owned()), ..reply };
    let script = script.input(Input::Reply(reply)).reply("confirm-stock", rejected("gone"));
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 succeeded {"output":{"charge":1}} (violates: no charge_id)
      succeeded charge-payment output={"charge_id":"by-hand"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    +0s reply confirm-stock do#1 rejected {"code":"gone","message":"no: gone"}
      rejected confirm-stock code=gone message="no: gone"
      turned failure={"code":"gone","detail":"no: gone","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn its_undo_has_to_be_settled_by_hand_too() {
    let script = settled().reply("charge-payment", Outcome::Cancelled).mark();
    let mut script = script.reply("confirm-stock", rejected("gone"));
    assert_snapshot!(script.refused(edit("charge-payment/undo", json!({}))), @"charge-payment was settled by hand: its undo has to be settled by hand, too; allowed: [cancel, compensate, pause, settle-step, abandon]");
    let script = script.settle("charge-payment/undo", Value::Null);
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#1 rejected {"code":"gone","message":"no: gone"}
      rejected confirm-stock code=gone message="no: gone"
      turned failure={"code":"gone","detail":"no: gone","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      stuck charge-payment undo at={"detail":"the action was settled by hand, so no participant can undo it","why":"by_hand"}
      !! order.parked (5/parked) {"code":"gone","detail":"no: gone","step":"confirm-stock"}
      = parked, needs attention
    +0s settle-step by ops: by phone
      undone charge-payment by_hand=true
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn a_success_after_it_is_an_alarm() {
    let script = settled().reply("charge-payment", Outcome::Cancelled).mark();
    let script = script.reply("charge-payment", Outcome::Cancelled).reply("charge-payment", rejected("no"));
    let script = script.reply("charge-payment", ok()).reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 cancelled
      ignored: duplicate
    +0s reply charge-payment do#2 rejected {"code":"no","message":"no: no"}
      ignored: duplicate
    +0s reply charge-payment do#2 succeeded
      alarmed charge-payment alarm=succeeded_after_closed
      = running, needs attention, alarm, due +10s
    +0s reply charge-payment do#2 succeeded
      ignored: duplicate
    "#);
}

/// An answer from before the participant forgot: true, and late.
#[test]
fn a_success_after_the_participant_forgot_is_an_alarm_too() {
    let script = settled().reply("charge-payment", Outcome::Expired).mark().reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 succeeded
      alarmed charge-payment alarm=succeeded_after_closed
      = running, needs attention, alarm, due +10s
    "#);
}

#[test]
fn a_signal_is_given_by_hand() {
    let script = Script::start(approval(), Value::Null).reply("quote", ok()).mark();
    let script = script.settle("approve", json!({ "by": "phone" }));
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      succeeded approve by_hand=true output={"by":"phone"}
      decided ship do attempts=3 data={"approved":{"by":"phone"}} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"approved":{"by":"phone"}}
      = running, due +10s
    "#);
}

#[test]
fn what_was_never_sent_is_settled_at_once_and_remembered() {
    let script = Script::start(limited(), Value::Null).mark().settle("charge", json!({ "cash": true }));
    let script = script.reply("ship", rejected("no-lorry"));
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      succeeded charge by_hand=true output={"cash":true}
      decided ship do attempts=3 data={} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {}
      = running, due +10s
    +0s reply ship do#1 rejected {"code":"no-lorry","message":"no: no-lorry"}
      rejected ship code=no-lorry message="no: no-lorry"
      turned failure={"code":"no-lorry","detail":"no: no-lorry","step":"ship"} undo=["charge"]
      stuck charge undo at={"detail":"the action was settled by hand, so no participant can undo it","why":"by_hand"}
      !! limited.parked (3/parked) {"code":"no-lorry","detail":"no: no-lorry","step":"ship"}
      = parked, needs attention
    "#);
}

#[test]
fn a_pivot_settled_by_hand_is_the_point_of_no_return() {
    let script = script::order().charged().settle("confirm-stock", Value::Null).mark();
    let mut script = script.reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#2 cancelled
      succeeded confirm-stock by_hand=true
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    "#);
    assert!(script.refused(amends_engine::OperatorAction::Cancel).starts_with("the point of no return"));
}

#[test]
fn a_pivot_in_doubt_is_settled_only_when_nobody_knows() {
    let mut script = script::order().charged().cancel();
    assert_snapshot!(script.refused(settle("confirm-stock", Value::Null)), @"confirm-stock was asked whether it happened, and the answer decides; allowed: [retry-now, cancel, compensate, pause, abandon]");
    let script = script.reply("confirm-stock", Outcome::Expired).mark().settle("confirm-stock", Value::Null);
    let mut script = script.cancel();
    assert_snapshot!(script.refused(edit("confirm-stock", Value::Null)), @"the saga is to turn back, so confirm-stock is not tried again; allowed: [retry-now, cancel, compensate, pause, settle-step, abandon]");
    let script = script.reply("confirm-stock", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      intended confirm-stock do then={"settle":{}}
      sent confirm-stock do ask={"fence":"settle"} due_at=+10s left=3 send_no=3
      -> inventory.fence confirm-stock do#3 of +0s {}
      = running, due +10s
    +0s cancel by ops: changed my mind
      ignored: underway
    +0s reply confirm-stock do#3 expired
      succeeded confirm-stock by_hand=true
      resolved
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    "#);
    let script = script::order().charged().cancel().reply("confirm-stock", Outcome::Expired);
    let script = script.settle("confirm-stock", Value::Null).mark().reply("confirm-stock", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply confirm-stock do#3 succeeded
      dropped confirm-stock do
      succeeded confirm-stock
      resolved
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    "#);
}

#[test]
fn a_cancel_takes_back_the_word_about_a_pivot() {
    let script = script::order().charged().settle("confirm-stock", Value::Null).mark().cancel();
    let script = script.reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      dropped confirm-stock do
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=3
      -> inventory.fence confirm-stock do#3 of +0s {}
      = running, due +10s
    +0s reply confirm-stock do#3 cancelled
      cancelled confirm-stock
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn a_turn_takes_back_the_word_about_a_step() {
    let script = settled().mark().cancel().reply_to("charge-payment", 2, Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      dropped charge-payment do
      unknown charge-payment
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    +0s reply charge-payment do#2 cancelled
      cancelled charge-payment
      = compensating, due +10s
    "#);
}

#[test]
fn a_later_word_takes_the_place_of_an_earlier_one() {
    let script = settled().mark().edit("charge-payment", json!({ "amount": 1 }));
    let script = script.settle("charge-payment", json!(1)).settle("charge-payment", json!(1));
    let script = script.reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended charge-payment do then={"retry":{"data":{"amount":1}}}
      sent charge-payment do ask={"fence":"epoch"} due_at=+10s left=3 send_no=3
      -> payment.fence charge-payment do#3 of +0s {}
      = running, due +10s
    +0s settle-step by ops: by phone
      intended charge-payment do then={"settle":{"output":1}}
      sent charge-payment do ask={"fence":"settle"} due_at=+10s left=3 send_no=4
      -> payment.fence charge-payment do#4 of +0s {}
      = running, due +10s
    +0s settle-step by ops: by phone
      ignored: underway
    +0s reply charge-payment do#4 cancelled
      succeeded charge-payment by_hand=true output=1
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}

#[test]
fn a_step_without_an_undo_that_nobody_remembers_is_settled() {
    let script =
        Script::start(parcel(), json!({ "parcel": 1, "reason": "moved" })).reply("book", ok()).cancel();
    let mut script = script.reply("announce", failed("db"));
    assert_snapshot!(script.refused(settle("announce", Value::Null)), @"announce is being closed, for the saga goes no further; allowed: [retry-now, skip-wait, cancel, compensate, pause, abandon]");
    let script = script.timer().reply("announce", Outcome::Expired).mark().settle("announce", Value::Null);
    let script = script.reply("announce", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +1s settle-step by ops: by phone
      intended announce do then={"settle":{}}
      sent announce do ask={"fence":"settle"} due_at=+11s left=2 send_no=4
      -> notification.fence announce do#4 of +0s {}
      = compensating, due +11s
    +1s reply announce do#4 expired
      succeeded announce by_hand=true
      decided book undo attempts=2 data={"parcel":1,"reason":"moved"} due_at=+11s
      -> carrier.unbook book undo#1 undoes do/1 of +1s {"parcel":1,"reason":"moved"}
      = compensating, due +11s
    "#);
}

#[test]
fn an_instance_is_settled_and_its_parent_is_not() {
    let begun = Script::start(parcels(), json!({ "parcels": [{ "id": "a" }, { "id": "b" }] }));
    let mut script = begun.reply("open", ok()).reply("pack.0", ok()).mark();
    assert_snapshot!(script.refused(settle("pack", Value::Null)), @"pack runs once for each element: name one of its instances, as pack.0; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let script = script.settle("pack.1", json!("box")).reply("pack.1", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      intended pack.1 do then={"settle":{"output":"box"}}
      sent pack.1 do ask={"fence":"settle"} due_at=+10s left=3 send_no=2
      -> warehouse.fence pack.1 do#2 of +0s {}
      = running, due +10s
    +0s reply pack.1 do#2 cancelled
      succeeded pack.1 by_hand=true output=box
      decided ship do attempts=3 data={"boxes":[null,"box"]} due_at=+10s
      -> carrier.ship ship do#1 of +0s {"boxes":[null,"box"]}
      = running, due +10s
    "#);
}

#[test]
fn what_is_no_longer_open_is_not_settled() {
    let refused = |mut script: Script, what: &str| script.refused(settle(what, Value::Null));
    assert_snapshot!(refused(script::order().reserved(), "reserve-stock"), @"the action of reserve-stock is neither in flight nor stuck, it is succeeded; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order(), "charge-payment"), @"the action of charge-payment is neither in flight nor stuck, it is waiting; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order().cancel(), "reserve-stock"), @"the action of reserve-stock is neither in flight nor stuck, it is unknown; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
}

#[test]
fn an_output_that_breaks_its_schema_is_refused() {
    let definition = Definition::compile("strict.v1.yaml", STRICT, &|_| {
        let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" });
        Ok(schema.to_string())
    });
    let has_id = |value: &Value| value.get("id").map(|_| ()).ok_or_else(|| "there is no id".to_owned());
    let definition = definition.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let definition = definition.with_checks(&|_| Ok(Check(Arc::new(has_id)))).unwrap();
    let mut script = Script::start(definition, Value::Null);
    assert_snapshot!(script.refused(settle("ship", json!({ "no": 1 }))), @"the output breaks the step's schema: there is no id; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(script.refused(edit("ship", json!({ "no": 1 }))), @"the command's data break the step's schema: there is no id; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let script = script.mark().settle("ship", json!({ "id": 1 })).reply("ship", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s settle-step by ops: by phone
      intended ship do then={"settle":{"output":{"id":1}}}
      sent ship do ask={"fence":"settle"} due_at=+10s left=8 send_no=2
      -> warehouse.fence ship do#2 of +0s {}
      = running, due +10s
    +0s reply ship do#2 cancelled
      succeeded ship by_hand=true output={"id":1}
      done ending=completed
      !! strict.completed (3/completed)
      = completed
    "#);
}

const STRICT: &str = "
saga: strict
version: 1
steps:
  - name: ship
    kind: pivot
    call: warehouse.ship
    with: { id: 1 }
    schemas: { command: schemas/ship.json, reply: schemas/shipped.json }
";

#[test]
fn what_can_be_settled_is_listed() {
    let listed = |script: &Script| {
        let effects = settleable(&script.saga, &script.definition);
        effects
            .iter()
            .map(|(step, effect)| format!("{step} {}", effect.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(listed(&Script::start(approval(), Value::Null).reply("quote", ok())), "approve do");
    assert_eq!(listed(&script::order().charged().cancel()), "");
    let stuck = script::order().charged().cancel().reply("confirm-stock", Outcome::Expired);
    assert_eq!(listed(&stuck), "confirm-stock do");
    assert_eq!(listed(&Script::start(limited(), Value::Null)), "charge do");
}
