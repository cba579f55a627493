//! `edit-and-retry` among everything else that happens to a saga: turns, doubts, late answers and pauses; and
//! what cannot be edited.

use amends_contract::{Direction, EffectId, Outcome};
use amends_engine::{Input, ReplyInput, editable};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval, order_input, parcels};
use crate::epochs::{edited, of_first, second};
use crate::script;
use crate::script::{Script, edit, ok, rejected, succeeded, undone};
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
