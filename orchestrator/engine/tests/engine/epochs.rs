//! `edit-and-retry`: a new epoch with other data, once the old one is closed for ever.

use amends_contract::{EffectId, Outcome};
use amends_engine::{Input, ReplyInput};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{compile, limited};
use crate::script;
use crate::script::{Script, failed, ok, rejected, succeeded, undone};

/// The charge is in flight, and somebody wants another one.
pub(crate) fn edited() -> Script {
    script::order().reserved().mark().edit("charge-payment", json!({ "amount": 1 }))
}

/// The second epoch of the charge is in flight.
pub(crate) fn second() -> Script {
    edited().reply("charge-payment", Outcome::Cancelled)
}

/// A reply of the first epoch, whatever is in flight now.
pub(crate) fn of_first(script: &Script, what: &str, outcome: Outcome) -> Input {
    let reply = script.answer(what, outcome);
    Input::Reply(ReplyInput { effect: EffectId { epoch: 1, ..reply.effect }, ..reply })
}

#[test]
fn it_closes_the_old_epoch_and_opens_the_next() {
    let script = second().reply("charge-payment", succeeded(json!({ "charge_id": "ch-2" })));
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended charge-payment do then={"retry":{"data":{"amount":1}}}
      sent charge-payment do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> payment.fence charge-payment do#2 of +0s {}
      = running, due +10s
    +0s reply charge-payment do#2 cancelled
      decided charge-payment do attempts=3 data={"amount":1} due_at=+10s epoch=2
      -> payment.charge-payment charge-payment do/2#1 of +0s {"amount":1}
      = running, due +10s
    +0s reply charge-payment do/2#1 succeeded {"output":{"charge_id":"ch-2"}}
      succeeded charge-payment output={"charge_id":"ch-2"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}

#[test]
fn it_opens_on_a_rejection_too() {
    let script = edited().mark().reply("charge-payment", rejected("no-money"));
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 rejected {"code":"no-money","message":"no: no-money"}
      decided charge-payment do attempts=3 data={"amount":1} due_at=+10s epoch=2
      -> payment.charge-payment charge-payment do/2#1 of +0s {"amount":1}
      = running, due +10s
    "#);
}

#[test]
fn what_happened_wins() {
    let script = edited().mark().reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 succeeded
      dropped charge-payment do
      succeeded charge-payment
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
    // Even if it is the answer to the command, on its way when the fence went out.
    let script = edited().mark().reply_to("charge-payment", 1, ok()).reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 succeeded
      dropped charge-payment do
      succeeded charge-payment
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    +0s reply charge-payment do#2 succeeded
      ignored: duplicate
    "#);
}

#[test]
fn while_the_participant_finds_out_it_waits() {
    let script = edited().mark().reply("charge-payment", Outcome::Pending).timer();
    let script = script.reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 pending
      pending charge-payment do pending_until=+30s
      = running, due +10s
    +10s timer
      sent charge-payment do ask={"fence":"epoch"} due_at=+20s left=3 send_no=3
      -> payment.fence charge-payment do#3 of +0s {}
      = running, due +20s
    +10s reply charge-payment do#3 cancelled
      decided charge-payment do attempts=3 data={"amount":1} due_at=+20s epoch=2
      -> payment.charge-payment charge-payment do/2#1 of +10s {"amount":1}
      = running, due +20s
    "#);
}

#[test]
fn what_the_participant_does_not_remember_is_not_tried_again() {
    let script = edited().mark().reply("charge-payment", Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 expired
      dropped charge-payment do
      stuck charge-payment do at={"detail":"it cannot be tried again: the participant does not remember whether it happened","why":"expired"}
      !! order.parked (4/parked)
      = parked, needs attention, due +24h
    "#);
    // Of the command it proves nothing.
    let script = edited().mark().reply_to("charge-payment", 1, Outcome::Expired);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 expired
      ignored: stale
    "#);
}

#[test]
fn a_fence_is_asked_for_ever() {
    let script = edited().timer().timer().timer().mark().timer().reply("charge-payment", failed("db"));
    assert_snapshot!(script.text(), @r#"
    +60s timer
      sent charge-payment do ask={"fence":"epoch"} due_at=+90s left=0 send_no=6
      -> payment.fence charge-payment do#6 of +0s {}
      = running, needs attention, due +90s
    +60s reply charge-payment do#6 failed {"code":"db"}
      backed_off charge-payment do code=db due_at=+90s left=0
      = running, needs attention, due +90s
    "#);
}

#[test]
fn a_fence_that_is_stuck_keeps_what_was_wanted() {
    let script = edited().pending_until_stuck("charge-payment").mark().retry_now();
    let script = script.reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +30s retry-now by ops: mended
      sent charge-payment do ask={"fence":"epoch"} due_at=+40s left=3 send_no=5
      -> payment.fence charge-payment do#5 of +0s {}
      = running, due +40s
    +30s reply charge-payment do#5 cancelled
      decided charge-payment do attempts=3 data={"amount":1} due_at=+40s epoch=2
      -> payment.charge-payment charge-payment do/2#1 of +30s {"amount":1}
      = running, due +40s
    "#);
}

#[test]
fn a_second_edit_takes_the_place_of_the_first() {
    let script = edited().mark().edit("charge-payment", json!({ "amount": 2 }));
    let script = script.edit("charge-payment", json!({ "amount": 2 }));
    let script = script.reply_to("charge-payment", 2, Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended charge-payment do then={"retry":{"data":{"amount":2}}}
      sent charge-payment do ask={"fence":"epoch"} due_at=+10s left=3 send_no=3
      -> payment.fence charge-payment do#3 of +0s {}
      = running, due +10s
    +0s edit-and-retry by ops: better data
      ignored: underway
    +0s reply charge-payment do#2 cancelled
      decided charge-payment do attempts=3 data={"amount":2} due_at=+10s epoch=2
      -> payment.charge-payment charge-payment do/2#1 of +0s {"amount":2}
      = running, due +10s
    "#);
}

#[test]
fn a_third_epoch_follows_the_second() {
    let script = second().edit("charge-payment", json!({ "amount": 3 })).mark();
    let script = script.reply("charge-payment", rejected("no-money")).reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do/2#2 rejected {"code":"no-money","message":"no: no-money"}
      decided charge-payment do attempts=3 data={"amount":3} due_at=+10s epoch=3
      -> payment.charge-payment charge-payment do/3#1 of +0s {"amount":3}
      = running, due +10s
    +0s reply charge-payment do/3#1 succeeded
      succeeded charge-payment
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}

#[test]
fn a_stuck_step_is_tried_with_other_data() {
    let script = script::order().reply("reserve-stock", Outcome::Conflict).mark();
    let script =
        script.edit("reserve-stock", json!({ "lines": [] })).reply("reserve-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended reserve-stock do then={"retry":{"data":{"lines":[]}}}
      sent reserve-stock do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> inventory.fence reserve-stock do#2 of +0s {}
      = running, due +10s
    +0s reply reserve-stock do#2 cancelled
      decided reserve-stock do attempts=3 data={"lines":[]} due_at=+10s epoch=2
      -> inventory.reserve-stock reserve-stock do/2#1 of +0s {"lines":[]}
      = running, due +10s
    "#);
    let script = script::order().confirmed().reply("send-confirmation", rejected("no-such-address")).mark();
    let script = script.edit("send-confirmation", json!({ "to": "bob@example.org" }));
    let script =
        script.reply("send-confirmation", rejected("no-such-address")).reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended send-confirmation do then={"retry":{"data":{"to":"bob@example.org"}}}
      sent send-confirmation do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> notification.fence send-confirmation do#2 of +0s {}
      = running, due +10s
    +0s reply send-confirmation do#2 rejected {"code":"no-such-address","message":"no: no-such-address"}
      decided send-confirmation do attempts=3 data={"to":"bob@example.org"} due_at=+10s epoch=2
      -> notification.send-confirmation send-confirmation do/2#1 of +0s {"to":"bob@example.org"}
      = running, due +10s
    +0s reply send-confirmation do/2#1 succeeded
      succeeded send-confirmation
      done ending=completed
      !! order.completed (8/completed)
      = completed
    "#);
}

#[test]
fn what_was_never_sent_is_decided_at_once() {
    let script = Script::start(limited(), Value::Null).mark().edit("charge", json!({ "amount": 1 }));
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      decided charge do attempts=3 data={"amount":1} due_at=+10s epoch=2 queued=true
      = running, held, due +24h
    "#);
    let places = |script: Script| {
        let slots = ["charge".parse().unwrap()].into();
        script.input(Input::Timer { blind: false, down: Default::default(), slots })
    };
    let script = places(script).mark().reply("charge", failed("db")).edit("charge", json!({ "amount": 2 }));
    let script = script.reply("charge", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge do/2#1 failed {"code":"db"}
      backed_off charge do code=db due_at=+200ms left=2
      = running, due +200ms
    +0s edit-and-retry by ops: better data
      intended charge do then={"retry":{"data":{"amount":2}}}
      sent charge do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> payment.fence charge do/2#2 of +0s {}
      = running, due +10s
    +0s reply charge do/2#2 cancelled
      decided charge do attempts=3 data={"amount":2} due_at=+10s epoch=3
      -> payment.charge charge do/3#1 of +0s {"amount":2}
      = running, due +10s
    "#);
}

#[test]
fn an_expression_that_gave_nothing_is_put_right() {
    let definition = compile(
        "
saga: odd
version: 1
steps:
  - name: ship
    kind: pivot
    call: warehouse.ship
  - name: tell
    kind: retriable
    call: notification.tell
    with: { to: =input.email }
",
    );
    let script = Script::start(definition, json!({})).reply("ship", ok());
    assert_eq!(script.state("tell"), "stuck");
    assert_snapshot!(script.mark().edit("tell", json!({ "to": "ada@example.org" })).text(), @r#"
    +0s edit-and-retry by ops: better data
      decided tell do attempts=8 data={"to":"ada@example.org"} due_at=+10s
      -> notification.tell tell do#1 of +0s {"to":"ada@example.org"}
      = running, due +10s
    "#);
}

#[test]
fn an_undo_names_the_action_of_its_epoch() {
    let script = second().reply("charge-payment", ok()).reply("confirm-stock", rejected("gone")).mark();
    let script = script.edit("charge-payment/undo", json!({ "amount": 1, "to": "another account" }));
    let script =
        script.reply("charge-payment/undo", Outcome::Cancelled).reply("charge-payment/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended charge-payment undo then={"retry":{"data":{"amount":1,"to":"another account"}}}
      sent charge-payment undo ask={"fence":"epoch"} due_at=+10s left=4 send_no=2
      -> payment.fence charge-payment undo#2 undoes do/2 of +0s {}
      = compensating, due +10s
    +0s reply charge-payment undo#2 cancelled
      decided charge-payment undo attempts=4 data={"amount":1,"to":"another account"} due_at=+10s epoch=2
      -> payment.refund-payment charge-payment undo/2#1 undoes do/2 of +0s {"amount":1,"to":"another account"}
      = compensating, due +10s
    +0s reply charge-payment undo/2#1 undone
      undone charge-payment
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn a_rejected_undo_is_tried_with_other_data() {
    let script = script::order().cancel().reply("reserve-stock", ok());
    let script = script.reply("reserve-stock/undo", rejected("closed-account")).mark();
    let script = script.edit("reserve-stock/undo", json!({ "how": "else" }));
    let script = script.reply("reserve-stock/undo", rejected("closed-account"));
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended reserve-stock undo then={"retry":{"data":{"how":"else"}}}
      sent reserve-stock undo ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> inventory.fence reserve-stock undo#2 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply reserve-stock undo#2 rejected {"code":"closed-account","message":"no: closed-account"}
      decided reserve-stock undo attempts=3 data={"how":"else"} due_at=+10s epoch=2
      -> inventory.release-stock reserve-stock undo/2#1 undoes do/1 of +0s {"how":"else"}
      = compensating, due +10s
    "#);
}

#[test]
fn an_undo_that_has_nothing_to_undo_needs_no_other_data() {
    let script = script::order().cancel().mark().edit("reserve-stock/undo", json!({ "how": "else" }));
    let script = script.reply("reserve-stock/undo", Outcome::NothingToUndo);
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended reserve-stock undo then={"retry":{"data":{"how":"else"}}}
      sent reserve-stock undo ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> inventory.fence reserve-stock undo#2 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply reserve-stock undo#2 nothing_to_undo
      dropped reserve-stock undo
      nothing_to_undo reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
    let script = script::order().cancel().edit("reserve-stock/undo", json!({ "how": "else" })).mark();
    assert_snapshot!(script.reply("reserve-stock/undo", undone()).text(), @r#"
    +0s reply reserve-stock undo#2 undone
      dropped reserve-stock undo
      undone reserve-stock
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"cancelled","to":"ada@example.org"}
      = compensating, due +10s
    "#);
}
