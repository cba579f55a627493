//! `abandon`: fences go out, nobody waits for them, and nothing ever moves again.

use amends_contract::Outcome;
use amends_engine::{Input, OperatorAction};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{approval_beside_charge, limited, parcel, parcels};
use crate::script;
use crate::script::{Script, failed, ok, rejected, succeeded, undone};

#[test]
fn what_is_in_flight_is_fenced() {
    let script = script::order().reserved().mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent charge-payment do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      done ending=abandoned
      -> payment.fence charge-payment do#2 of +0s {}
      !! order.abandoned (3/abandoned)
      = abandoned
    "#);
    assert_eq!(script.state("reserve-stock"), "succeeded");
}

#[test]
fn what_waits_was_never_sent_and_never_is() {
    let script = Script::start(approval_beside_charge(), Value::Null).mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent hold do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      sent charge do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      cancelled approve
      done ending=abandoned
      -> warehouse.fence hold do#2 of +0s {}
      -> payment.fence charge do#2 of +0s {}
      !! beside.abandoned (2/abandoned)
      = abandoned
    "#);
    let script = Script::start(limited(), Value::Null).mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      cancelled charge
      done ending=abandoned
      !! limited.abandoned (2/abandoned)
      = abandoned
    "#);
}

#[test]
fn what_is_closed_is_not_fenced_again() {
    let closed = script::order().reply("reserve-stock", Outcome::Cancelled).mark().abandon();
    assert_snapshot!(closed.text(), @"
    +0s abandon by ops: give up
      cancelled reserve-stock
      done ending=abandoned
      !! order.abandoned (3/abandoned)
      = abandoned
    ");
}

#[test]
fn an_action_whose_undo_could_not_be_sent_is_fenced() {
    let unasked = Script::start(parcel(), json!({ "parcel": "p-1" })).cancel().mark();
    assert_eq!((unasked.state("book"), unasked.state("book/undo")), ("unknown", "stuck"));
    assert_snapshot!(unasked.abandon().text(), @r#"
    +0s abandon by ops: give up
      sent book do ask={"fence":"abandon"} due_at=+10s left=2 send_no=2
      done ending=abandoned
      -> carrier.fence book do#2 of +0s {}
      !! parcel.abandoned (3/abandoned) {"code":"cancelled","detail":"changed my mind"}
      = abandoned
    "#);
}

#[test]
fn what_is_stuck_or_backs_off_is_fenced() {
    let stuck = script::order().reply("reserve-stock", Outcome::Expired).mark().abandon();
    assert_snapshot!(stuck.text(), @r#"
    +0s abandon by ops: give up
      sent reserve-stock do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      done ending=abandoned
      -> inventory.fence reserve-stock do#2 of +0s {}
      !! order.abandoned (3/abandoned)
      = abandoned
    "#);
    let backing_off = script::order().reply("reserve-stock", failed("db")).mark().abandon();
    assert_eq!(backing_off.state("reserve-stock"), "fencing");
}

#[test]
fn an_undo_is_fenced_and_its_action_with_it() {
    let script =
        script::order().charged().cancel().reply("confirm-stock", Outcome::Cancelled).mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent charge-payment undo ask={"fence":"abandon"} due_at=+10s left=4 send_no=2
      done ending=abandoned
      -> payment.fence charge-payment undo#2 undoes do/1 of +0s {}
      !! order.abandoned (6/abandoned) {"code":"cancelled","detail":"changed my mind"}
      = abandoned
    "#);
    assert_eq!(script.state("reserve-stock/undo"), "waiting", "it was never asked for");
}

#[test]
fn an_action_that_may_have_run_is_fenced_though_its_undo_waits() {
    let begun = Script::start(parcels(), json!({ "parcels": [{ "id": "a" }, { "id": "b" }] }));
    let script = begun.reply("open", ok()).reply("pack.0", rejected("no-box")).pause().cancel();
    assert_eq!(script.state("pack.1"), "unknown");
    let script = script.mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent pack.1 undo ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      done ending=abandoned
      -> warehouse.fence pack.1 undo#2 undoes do/1 of +0s {}
      !! parcels.abandoned (5/abandoned) {"code":"no-box","detail":"no: no-box","step":"pack"}
      = abandoned
    "#);
    let turned = script::order().reserved().pause().cancel().mark().abandon();
    assert_snapshot!(turned.text(), @r#"
    +0s abandon by ops: give up
      sent charge-payment do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      done ending=abandoned
      -> payment.fence charge-payment do#2 of +0s {}
      !! order.abandoned (5/abandoned) {"code":"cancelled","detail":"changed my mind"}
      = abandoned
    "#);
}

#[test]
fn it_ends_a_pause() {
    let script = script::order().pause().mark().abandon();
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent reserve-stock do ask={"fence":"abandon"} due_at=+10s left=3 send_no=2
      done ending=abandoned
      -> inventory.fence reserve-stock do#2 of +0s {}
      !! order.abandoned (3/abandoned)
      = abandoned
    "#);
}

#[test]
fn late_replies_are_knowledge_and_nothing_more() {
    let script = script::order().reserved().abandon().mark();
    let script = script.reply("charge-payment", Outcome::Pending).reply("charge-payment", failed("db"));
    let script = script.reply("charge-payment", Outcome::Conflict).reply("charge-payment", Outcome::Expired);
    let script = script.reply("charge-payment", succeeded(json!({ "charge_id": "ch-1" })));
    let script = script.reply("charge-payment", ok()).reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 pending
      ignored: stale
    +0s reply charge-payment do#2 failed {"code":"db"}
      ignored: stale
    +0s reply charge-payment do#2 conflict
      ignored: stale
    +0s reply charge-payment do#2 expired
      ignored: stale
    +0s reply charge-payment do#2 succeeded {"output":{"charge_id":"ch-1"}}
      succeeded charge-payment output={"charge_id":"ch-1"}
      = abandoned
    +0s reply charge-payment do#2 succeeded
      ignored: duplicate
    +0s reply charge-payment do#2 cancelled
      ignored: contradiction
    "#);
}

#[test]
fn the_answers_to_its_fences_are_knowledge_too() {
    let script = script::order().reserved().abandon().mark().reply("charge-payment", Outcome::Cancelled);
    let script = script.reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#2 cancelled
      cancelled charge-payment
      = abandoned
    +0s reply charge-payment do#2 succeeded
      alarmed charge-payment alarm=succeeded_after_cancelled
      = abandoned, needs attention, alarm
    "#);
    let rejected_late = script::order().abandon().mark().reply("reserve-stock", rejected("sold-out"));
    assert_snapshot!(rejected_late.text(), @r#"
    +0s reply reserve-stock do#2 rejected {"code":"sold-out","message":"no: sold-out"}
      rejected reserve-stock code=sold-out message="no: sold-out"
      = abandoned
    "#);
    let retriable = script::order().confirmed().abandon().mark().reply("send-confirmation", rejected("no"));
    assert_eq!(retriable.state("send-confirmation"), "rejected");
}

#[test]
fn an_undo_of_an_abandoned_saga_is_known_late() {
    let abandoned = || script::order().cancel().abandon().mark();
    let script = abandoned().reply("reserve-stock/undo", undone()).reply("reserve-stock", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock undo#2 undone
      undone reserve-stock
      = abandoned
    +0s reply reserve-stock do#1 succeeded
      succeeded reserve-stock
      = abandoned
    "#);
    let closed = abandoned().reply("reserve-stock/undo", Outcome::Cancelled);
    assert_snapshot!(closed.text(), @r#"
    +0s reply reserve-stock undo#2 cancelled
      ignored: stale
    "#);
}

#[test]
fn a_pivot_in_doubt_may_be_abandoned() {
    let script =
        script::order().charged().cancel().mark().abandon().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +0s abandon by ops: give up
      sent confirm-stock do ask={"fence":"abandon"} due_at=+10s left=3 send_no=3
      done ending=abandoned
      -> inventory.fence confirm-stock do#3 of +0s {}
      !! order.abandoned (5/abandoned)
      = abandoned
    +0s reply confirm-stock do#3 cancelled
      cancelled confirm-stock
      = abandoned
    "#);
}

#[test]
fn nothing_can_be_done_after_it() {
    let mut script = script::order().abandon();
    assert_snapshot!(script.refused(OperatorAction::Abandon), @"the saga is abandoned; allowed: []");
    let timer = Input::Timer { blind: false, down: Default::default(), slots: Default::default() };
    let script = script.mark().after(100_000_000).input(timer);
    assert_snapshot!(script.text(), @r#"
    +100000s timer
      ignored: not_due
    "#);
}
