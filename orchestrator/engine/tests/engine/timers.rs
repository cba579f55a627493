//! The timer: outages that burn nothing, deadlines, and everything due at once.

use std::collections::BTreeSet;

use amends_contract::Outcome;
use amends_engine::Input;
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::diamond;
use crate::script::{Script, failed, ok, order, parcel, rejected};

const HOURS_24: u64 = 24 * 3_600_000;

fn left(script: &Script, step: &str) -> u32 {
    script.step(step).action_effect.as_ref().unwrap().left
}

#[test]
fn a_timer_before_its_time_changes_nothing() {
    let script = order().input(Input::Timer { blind: false, down: BTreeSet::new(), slots: BTreeSet::new() });
    assert_snapshot!(script.text(), @"
    +0s timer
      ignored: not_due
    ");
}

#[test]
fn while_we_are_blind_nothing_burns_and_the_deadline_stands_still() {
    let script = order().blind_timer().blind_timer().timer();
    assert_snapshot!(script.text(), @r#"
    +10s timer blind
      held reserve-stock do by=broker due_at=+610s
      deadline_moved deadline_at=+87000s
      = running, held, due +610s
    +610s timer blind
      held reserve-stock do by=broker due_at=+1210s
      deadline_moved deadline_at=+87600s
      = running, held, due +1210s
    +1210s timer
      sent reserve-stock do due_at=+1220s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +1220s
    "#);
    assert_eq!(left(&script, "reserve-stock"), 3);
}

#[test]
fn while_a_participant_is_down_its_steps_are_held() {
    let script = order().timer_with_down(&["inventory"]).timer_with_down(&["payment"]).timer();
    assert_snapshot!(script.text(), @r#"
    +10s timer down: inventory
      held reserve-stock do away=inventory by=participant due_at=+610s
      deadline_moved deadline_at=+87000s
      = running, held, due +610s
    +610s timer down: payment
      sent reserve-stock do due_at=+620s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +620s
    +620s timer
      sent reserve-stock do due_at=+630s left=2 send_no=3
      -> inventory.reserve-stock reserve-stock do#3 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +630s
    "#);
    assert_eq!(left(&script, "reserve-stock"), 2, "only the last silence is the participant's");
}

#[test]
fn what_is_held_is_let_go_at_once_when_the_outage_is_over() {
    let held = order().timer_with_down(&["inventory"]).after(25_000).mark();
    let script = held.release(&["inventory"]).release(&["payment"]).release(&[]);
    assert_snapshot!(script.text(), @r#"
    +35s release down: inventory
      ignored: not_due
    +35s release down: payment
      sent reserve-stock do due_at=+45s left=3 send_no=2
      deadline_moved deadline_at=+86425s
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +45s
    +35s release
      ignored: not_due
    "#);
    assert_eq!(left(&script, "reserve-stock"), 3);
}

#[test]
fn a_deadline_stands_still_as_long_as_something_is_held_and_no_longer() {
    let deadline = |script: &Script| script.saga.deadline_at.unwrap();
    let held = || order().timer_with_down(&["inventory"]).after(25_000);
    let before = deadline(&order());
    assert_eq!(deadline(&held()).ms_since(before), 600_000);
    assert_eq!(deadline(&held().release(&[])).ms_since(before), 25_000);
    assert_eq!(deadline(&held().reserved()).ms_since(before), 25_000, "whoever answers is not held either");
    let blind = order().blind_timer().after(25_000).release(&["inventory"]);
    assert_eq!(deadline(&blind).ms_since(before), 600_000, "now it is the participant");
    assert!(blind.saga.flags().held);

    // Of two that are held the last one that is let go counts.
    let branches = || Script::start(diamond(), json!({ "parcel": "p-1" })).reply("book", ok());
    let both = || branches().timer_with_down(&["warehouse", "insurer"]).after(25_000);
    let before = deadline(&branches());
    assert_eq!(deadline(&both().release(&["insurer"])).ms_since(before), 600_000);
    let one_by_one = both().release(&["insurer"]).after(25_000).release(&[]);
    assert_eq!(deadline(&one_by_one).ms_since(before), 50_000);
}

#[test]
fn a_release_of_nothing_changes_nothing() {
    assert_snapshot!(order().release(&[]).text(), @"
    +0s release
      ignored: not_due
    ");
    let paused = order().timer_with_down(&["inventory"]).pause().mark().release(&[]);
    assert_snapshot!(paused.text(), @"
    +10s release
      ignored: paused
    ");
    assert_eq!(paused.saga.held_by(), None);
}

#[test]
fn who_holds_is_known() {
    let name = |script: &Script| script.saga.held_by().map(|name| name.map(ToString::to_string));
    assert_eq!(name(&order()), None);
    assert_eq!(name(&order().blind_timer()), Some(None));
    assert_eq!(name(&order().timer_with_down(&["inventory"])), Some(Some("inventory".to_owned())));
    assert_eq!(name(&order().timer_with_down(&["inventory"]).release(&[])), None);
}

#[test]
fn whoever_is_still_finding_out_is_asked_again_in_time() {
    let script =
        order().reserved().timer_with_down(&["payment"]).mark().reply("charge-payment", Outcome::Pending);
    assert_snapshot!(script.text(), @"
    +10s reply charge-payment do#1 pending
      pending charge-payment do due_at=+20s pending_until=+40s
      deadline_moved deadline_at=+24h
      = running, due +20s
    ");
}

#[test]
fn a_back_off_is_held_too_and_burns_only_once() {
    let script = order()
        .reply("reserve-stock", failed("db"))
        .mark()
        .timer_with_down(&["inventory"])
        .reply("reserve-stock", failed("db"))
        .timer();
    assert_snapshot!(script.text(), @r#"
    +200ms timer down: inventory
      held reserve-stock do away=inventory by=participant due_at=+600200ms
      deadline_moved deadline_at=+87000s
      = running, held, due +600200ms
    +200ms reply reserve-stock do#1 failed {"code":"db"}
      ignored: duplicate
    +600200ms timer
      sent reserve-stock do due_at=+610200ms left=2 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +610200ms
    "#);
}

#[test]
fn whoever_answers_is_not_held_any_more() {
    let script = order().reserved().timer_with_down(&["payment"]).reply("charge-payment", Outcome::Pending);
    assert!(!script.saga.flags().held);
    let script = order().timer_with_down(&["inventory"]).reply("reserve-stock", failed("db"));
    assert!(!script.saga.flags().held);
    let script = order().timer_with_down(&["inventory"]).reserved();
    assert!(!script.saga.flags().held);
}

#[test]
fn pending_stands_still_while_it_is_held() {
    let pending = order().reserved().reply("charge-payment", Outcome::Pending);
    // Half a minute later, when it would be too long, the participant is down.
    let script = pending.after(30_000).mark().timer_with_down(&["payment"]).timer();
    assert_snapshot!(script.text(), @r#"
    +30s timer down: payment
      held charge-payment do away=payment by=participant due_at=+630s pending_until=+630s
      deadline_moved deadline_at=+87000s
      = running, held, due +630s
    +630s timer
      stuck charge-payment do at={"detail":"the participant did not find out in time","why":"pending_max"}
      !! order.parked (5/parked)
      = parked, needs attention, due +87000s
    "#);
}

#[test]
fn the_deadline_turns_a_saga_before_the_pivot() {
    let script = order().reserved().after(HOURS_24).mark().timer();
    assert_snapshot!(script.text(), @r#"
    +24h timer
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"} undo=["reserve-stock","charge-payment"]
      unknown charge-payment
      decided charge-payment undo attempts=4 due_at=+86410s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +24h {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +86410s
    "#);
}

#[test]
fn the_deadline_asks_for_the_fate_of_a_pivot_in_flight() {
    let script = order().charged().after(HOURS_24).mark().timer().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @r#"
    +24h timer
      doubted failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"}
      sent confirm-stock do ask={"fence":"pivot"} due_at=+86410s left=3 send_no=2
      -> inventory.fence confirm-stock do#2 of +0s {}
      = running, due +86410s
    +24h reply confirm-stock do#2 cancelled
      cancelled confirm-stock
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+86410s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +24h {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +86410s
    "#);
}

#[test]
fn behind_the_pivot_the_deadline_only_marks() {
    let script = order().confirmed().after(HOURS_24).mark().timer();
    assert_snapshot!(script.text(), @r#"
    +24h timer
      overdue
      sent send-confirmation do due_at=+86410s left=2 send_no=2
      -> notification.send-confirmation send-confirmation do#2 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, needs attention, overdue, due +86410s
    "#);
    let script = script.mark().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"
    +24h reply send-confirmation do#2 succeeded
      succeeded send-confirmation
      done ending=completed
      !! order.completed (6/completed)
      = completed
    ");
}

#[test]
fn a_deadline_does_not_pass_while_the_participant_is_down() {
    let script = order().after(HOURS_24).timer_with_down(&["inventory"]);
    assert_snapshot!(script.text(), @"
    +24h timer down: inventory
      deadline_moved deadline_at=+87000s
      held reserve-stock do away=inventory by=participant due_at=+87000s
      = running, held, due +87000s
    ");
    let script = script.mark().timer();
    assert_snapshot!(script.text(), @r#"
    +87000s timer
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:10:00.000Z"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+87010s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +87000s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +87010s
    "#);
}

#[test]
fn on_the_way_back_the_deadline_means_nothing() {
    let script =
        order().reserved().reply("charge-payment", rejected("card-declined")).after(HOURS_24).timer();
    assert!(!script.saga.flags().overdue);
    assert_eq!(script.saga.failure.as_ref().unwrap().code, "card-declined");
}

#[test]
fn a_parked_saga_has_its_deadline() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark().timer();
    assert_snapshot!(script.text(), @r#"
    +24h timer
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+86410s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +24h {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +86410s
    "#);
}

#[test]
fn without_a_pivot_the_deadline_turns_until_the_end() {
    let script = parcel().reply("book", ok()).reply("announce", ok()).after(3_600_000).mark().timer();
    assert_snapshot!(script.text(), @r#"
    +1h timer
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-21T09:00:00.000Z"} undo=["book","label"]
      unknown label
      decided label undo attempts=2 due_at=+3610s
      -> carrier.unlabel label undo#1 undoes do/1 of +1h {"parcel":"p-1"}
      = compensating, due +3610s
    "#);
}
