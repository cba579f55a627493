//! `edit-and-retry`: a new epoch with other data, once the old one is closed for ever.

use amends_contract::{Direction, EffectId, Outcome};
use amends_engine::{Input, ReplyInput, editable};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval, compile, limited, order_input, parcels};
use crate::script;
use crate::script::{Script, edit, failed, ok, rejected, succeeded, undone};

/// The charge is in flight, and somebody wants another one.
fn edited() -> Script {
    script::order().reserved().mark().edit("charge-payment", json!({ "amount": 1 }))
}

/// The second epoch of the charge is in flight.
fn second() -> Script {
    edited().reply("charge-payment", Outcome::Cancelled)
}

/// A reply of the first epoch, whatever is in flight now.
fn of_first(script: &Script, what: &str, outcome: Outcome) -> Input {
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

#[test]
fn a_turn_drops_what_was_wanted_and_undoes_what_may_have_run() {
    let script = edited().mark().cancel().reply_to("charge-payment", 2, Outcome::Cancelled);
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
    let script = second().mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      unknown charge-payment
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/2 of +0s {"amount":1}
      = compensating, due +10s
    "#);
}

#[test]
fn a_pivot_that_is_edited_is_asked_first() {
    let edited = || script::order().charged().mark().edit("confirm-stock", json!({ "reservation": "r-2" }));
    assert_snapshot!(edited().reply("confirm-stock", ok()).text(), @r#"
    +0s edit-and-retry by ops: better data
      intended confirm-stock do then={"retry":{"data":{"reservation":"r-2"}}}
      sent confirm-stock do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +10s
    +0s reply confirm-stock do#2 succeeded
      dropped confirm-stock do
      succeeded confirm-stock
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    "#);
    assert_snapshot!(edited().mark().reply("confirm-stock", Outcome::Cancelled).text(), @r#"
    +0s reply confirm-stock do#2 cancelled
      decided confirm-stock do attempts=3 data={"reservation":"r-2"} due_at=+10s epoch=2
      -> inventory.confirm-stock confirm-stock do/2#1 of +0s {"reservation":"r-2"}
      = running, due +10s
    "#);
    assert_snapshot!(edited().mark().reply("confirm-stock", rejected("gone")).text(), @r#"
    +0s reply confirm-stock do#2 rejected {"code":"gone","message":"no: gone"}
      decided confirm-stock do attempts=3 data={"reservation":"r-2"} due_at=+10s epoch=2
      -> inventory.confirm-stock confirm-stock do/2#1 of +0s {"reservation":"r-2"}
      = running, due +10s
    "#);
}

#[test]
fn a_doubt_about_the_pivot_drops_what_was_wanted_of_it() {
    let script = script::order().charged().edit("confirm-stock", json!({ "reservation": "r-2" })).mark();
    let mut script = script.cancel();
    assert_snapshot!(script.refused(edit("confirm-stock", json!({}))), @"confirm-stock was asked whether it happened, and the answer decides; allowed: [retry-now, cancel, compensate, pause, abandon]");
    let script = script.reply_to("confirm-stock", 2, Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      doubted failure={"code":"cancelled","detail":"changed my mind"}
      dropped confirm-stock do
      sent confirm-stock do ask={"fence":"pivot"} due_at=+10s left=3 send_no=3
      -> inventory.fence confirm-stock do#3 of +0s {}
      = running, due +10s
    +0s reply confirm-stock do#2 cancelled
      cancelled confirm-stock
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
    let script = script::order().charged().edit("confirm-stock", json!({ "reservation": "r-2" })).mark();
    let script = script.after(24 * 3_600_000).timer();
    assert_snapshot!(script.text(), @r#"
    +24h timer
      doubted failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"}
      dropped confirm-stock do
      sent confirm-stock do ask={"fence":"pivot"} due_at=+86410s left=3 send_no=3
      -> inventory.fence confirm-stock do#3 of +0s {}
      = running, due +86410s
    "#);
}

#[test]
fn a_success_of_a_closed_epoch_is_an_alarm() {
    let script = second().mark();
    let late = of_first(&script, "charge-payment", ok());
    let again = late.clone();
    let other = of_first(&script, "charge-payment", Outcome::Cancelled);
    let script = script.input(other).input(late).input(again);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 cancelled
      ignored: stale
    +0s reply charge-payment do#1 succeeded
      alarmed charge-payment alarm=succeeded_after_closed
      = running, needs attention, alarm, due +10s
    +0s reply charge-payment do#1 succeeded
      ignored: duplicate
    "#);
    let script = script::order().cancel().reply("reserve-stock", ok()).edit("reserve-stock/undo", json!({}));
    let script = script.reply("reserve-stock/undo", Outcome::Cancelled).mark();
    let late = of_first(&script, "reserve-stock/undo", undone());
    assert_snapshot!(script.input(late).text(), @r#"
    +0s reply reserve-stock undo#1 undone
      alarmed reserve-stock alarm=undone_after_closed
      = compensating, needs attention, alarm, due +10s
    "#);
}

#[test]
fn an_epoch_that_was_never_opened_has_no_outcome() {
    let script = script::order().mark();
    let reply = script.answer("reserve-stock", ok());
    let reply = ReplyInput { effect: EffectId { epoch: 2, ..reply.effect }, ..reply };
    assert_snapshot!(script.input(Input::Reply(reply)).text(), @r#"
    +0s reply reserve-stock do/2#1 succeeded
      ignored: not_sent
    "#);
}

#[test]
fn in_a_pause_the_fence_waits() {
    let script = script::order().pause().mark().edit("reserve-stock", json!({})).after(60_000).resume();
    let script = script.reply("reserve-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s edit-and-retry by ops: better data
      intended reserve-stock do then={"retry":{"data":{}}}
      sent reserve-stock do ask={"fence":"epoch"} due_at=+10s left=3 send_no=2
      = running, paused
    +60s resume by ops: go on
      resumed shift_ms=60000
      -> inventory.fence reserve-stock do#2 of +0s {}
      = running, due +70s
    +60s reply reserve-stock do#2 cancelled
      decided reserve-stock do attempts=3 data={} due_at=+70s epoch=2
      -> inventory.reserve-stock reserve-stock do/2#1 of +60s {}
      = running, due +70s
    "#);
    let script = edited().pause().mark().reply("charge-payment", Outcome::Cancelled).after(1_000).resume();
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 cancelled
      decided charge-payment do attempts=3 data={"amount":1} due_at=+10s epoch=2
      = running, paused
    +1s resume by ops: go on
      resumed shift_ms=1000
      -> payment.charge-payment charge-payment do/2#1 of +0s {"amount":1}
      = running, due +11s
    "#);
}

#[test]
fn an_instance_has_epochs_of_its_own() {
    let begun = Script::start(parcels(), json!({ "parcels": [{ "id": "a" }, { "id": "b" }] }));
    let mut script = begun.reply("open", ok()).mark();
    assert_snapshot!(script.refused(edit("pack", json!({}))), @"pack runs once for each element: name one of its instances, as pack.0; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let script = script.edit("pack.1", json!({ "parcel": "c" })).reply("pack.1", Outcome::Cancelled);
    let script =
        script.reply("pack.1", ok()).reply("pack.0", ok()).mark().reply("ship", rejected("no-lorry"));
    assert_snapshot!(script.text(), @r#"
    +0s reply ship do#1 rejected {"code":"no-lorry","message":"no: no-lorry"}
      rejected ship code=no-lorry message="no: no-lorry"
      turned failure={"code":"no-lorry","detail":"no: no-lorry","step":"ship"} undo=["open","pack.0","pack.1"]
      decided pack.1 undo attempts=3 data={"label":"b","parcel":"c"} due_at=+10s
      decided pack.0 undo attempts=3 data={"label":"a","parcel":"a"} due_at=+10s
      -> warehouse.unpack pack.1 undo#1 undoes do/2 of +0s {"label":"b","parcel":"c"}
      -> warehouse.unpack pack.0 undo#1 undoes do/1 of +0s {"label":"a","parcel":"a"}
      = compensating, due +10s
    "#);
}

#[test]
fn what_cannot_be_tried_again_is_refused() {
    let refused = |mut script: Script, what: &str| script.refused(edit(what, json!({})));
    assert_snapshot!(refused(script::order(), "charge-payment"), @"the action of charge-payment is neither in flight nor stuck, it is waiting; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order().reserved(), "reserve-stock"), @"the action of reserve-stock is neither in flight nor stuck, it is succeeded; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order().reserved(), "reserve-stock/undo"), @"the undo of reserve-stock is neither in flight nor stuck, it is none; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order(), "no-such-step"), @"the saga has no step no-such-step; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert_snapshot!(refused(script::order().cancel(), "reserve-stock"), @"the action of reserve-stock is neither in flight nor stuck, it is unknown; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let awaiting = Script::start(approval(), Value::Null).reply("quote", ok());
    assert_snapshot!(refused(awaiting, "approve"), @"approve waits for a signal: send that, or settle the step; allowed: [skip-wait, cancel, compensate, pause, settle-step, abandon]");
    let fencing = Script::start(crate::definitions::parcel(), json!({ "parcel": 1, "reason": "moved" }));
    let fencing = fencing.reply("book", ok()).cancel();
    assert_snapshot!(refused(fencing, "announce"), @"announce is being closed, for the saga goes no further; allowed: [retry-now, cancel, compensate, pause, abandon]");
    let stuck = Script::start(crate::definitions::parcel(), json!({ "parcel": 1, "reason": "moved" }));
    let stuck = stuck.reply("book", ok()).cancel().reply("announce", Outcome::Expired);
    assert_snapshot!(refused(stuck, "announce"), @"the saga has turned back, so announce is not tried again; allowed: [retry-now, cancel, compensate, pause, settle-step, abandon]");
    assert_snapshot!(refused(script::order().abandon(), "reserve-stock"), @"the saga is abandoned; allowed: []");
}

#[test]
fn data_that_cannot_be_sent_are_refused() {
    let much = json!({ "lines": "x".repeat(600_000) });
    let mut script = script::order();
    assert_snapshot!(script.refused(edit("reserve-stock", much.clone())), @"the command has 600441 bytes; at most 524288 are sent; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    let mut script = script::order().cancel();
    assert_snapshot!(script.refused(edit("reserve-stock/undo", much)), @"the command has 600512 bytes; at most 524288 are sent; allowed: [retry-now, cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
}

#[test]
fn what_can_be_edited_is_listed() {
    let listed = |script: &Script| {
        let effects = editable(&script.saga, &script.definition);
        effects
            .iter()
            .map(|(step, effect)| format!("{step} {}", effect.as_str()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(listed(&script::order()), "reserve-stock do");
    assert_eq!(listed(&script::order().cancel()), "reserve-stock undo");
    assert_eq!(listed(&script::order().charged().cancel()), "");
    assert_eq!(listed(&script::order().abandon()), "");
    assert_eq!(Direction::Forward.as_str(), "do");
    let mut script = Script::start(crate::definitions::order(), order_input());
    script = script.reply("reserve-stock", rejected("no"));
    assert_eq!(listed(&script), "send-rejection do");
}

#[test]
fn what_happened_but_cannot_be_read_is_not_tried_again() {
    let script = edited().mark();
    let reply = script.answer("charge-payment", succeeded(json!({ "charge": 1 })));
    let script =
        script.input(Input::Reply(ReplyInput { violation: Some("no charge_id".to_owned()), ..reply }));
    let script = script.retry_now().reply("charge-payment", succeeded(json!({ "charge_id": "ch-1" })));
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 succeeded {"output":{"charge":1}} (violates: no charge_id)
      dropped charge-payment do
      stuck charge-payment do at={"detail":"it is not tried again, for it happened; its reply breaks its schema: no charge_id","why":"reply"}
      !! order.parked (4/parked)
      = parked, needs attention, due +24h
    +0s retry-now by ops: mended
      sent charge-payment do due_at=+10s left=3 send_no=3
      -> payment.charge-payment charge-payment do#3 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +10s
    +0s reply charge-payment do#3 succeeded {"output":{"charge_id":"ch-1"}}
      succeeded charge-payment output={"charge_id":"ch-1"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    "#);
}
