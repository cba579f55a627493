//! The timer: outages that burn nothing, deadlines, and everything due at once.

use std::collections::BTreeSet;

use amends_contract::Outcome;
use amends_engine::Input;
use insta::assert_snapshot;

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
      held reserve-stock do by=broker due_at=+20s
      deadline_moved deadline_at=+86410s
      = running, held, due +20s
    +20s timer blind
      held reserve-stock do by=broker due_at=+30s
      deadline_moved deadline_at=+86420s
      = running, held, due +30s
    +30s timer
      sent reserve-stock do due_at=+40s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +40s
    "#);
    assert_eq!(left(&script, "reserve-stock"), 3);
}

#[test]
fn while_a_participant_is_down_its_steps_are_held() {
    let script = order().timer_with_down(&["inventory"]).timer_with_down(&["payment"]).timer();
    assert_snapshot!(script.text(), @r#"
    +10s timer down: inventory
      held reserve-stock do by=participant due_at=+20s
      deadline_moved deadline_at=+86410s
      = running, held, due +20s
    +20s timer down: payment
      sent reserve-stock do due_at=+30s left=3 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +30s
    +30s timer
      sent reserve-stock do due_at=+40s left=2 send_no=3
      -> inventory.reserve-stock reserve-stock do#3 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +40s
    "#);
    assert_eq!(left(&script, "reserve-stock"), 2, "only the last silence is the participant's");
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
      held reserve-stock do by=participant due_at=+10200ms
      deadline_moved deadline_at=+86410s
      = running, held, due +10200ms
    +200ms reply reserve-stock do#1 failed {"code":"db"}
      ignored: duplicate
    +10200ms timer
      sent reserve-stock do due_at=+20200ms left=2 send_no=2
      -> inventory.reserve-stock reserve-stock do#2 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = running, due +20200ms
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
      held charge-payment do by=participant due_at=+40s pending_until=+40s
      deadline_moved deadline_at=+86410s
      = running, held, due +40s
    +40s timer
      stuck charge-payment do at={"detail":"the participant did not find out in time","why":"pending_max"}
      !! order.parked (5/parked)
      = parked, needs attention, due +86410s
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
      deadline_moved deadline_at=+86410s
      held reserve-stock do by=participant due_at=+86410s
      = running, held, due +86410s
    ");
    let script = script.mark().timer();
    assert_snapshot!(script.text(), @r#"
    +86410s timer
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:10.000Z"} undo=["reserve-stock"]
      unknown reserve-stock
      decided reserve-stock undo attempts=3 due_at=+86420s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +86410s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +86420s
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
