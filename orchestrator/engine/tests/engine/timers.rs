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
    let script = order().input(Input::Timer { blind: false, down: BTreeSet::new() });
    assert_snapshot!(script.text(), @"");
}

#[test]
fn while_we_are_blind_nothing_burns_and_the_deadline_stands_still() {
    let script = order().blind_timer().blind_timer().timer();
    assert_snapshot!(script.text(), @"");
    assert_eq!(left(&script, "reserve-stock"), 3);
}

#[test]
fn while_a_participant_is_down_its_steps_are_held() {
    let script = order().timer_with_down(&["inventory"]).timer_with_down(&["payment"]).timer();
    assert_snapshot!(script.text(), @"");
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
    assert_snapshot!(script.text(), @"");
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
    // An hour later, when it would be too long, the participant is down.
    let script = pending.after(3_600_000).mark().timer_with_down(&["payment"]).timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn the_deadline_turns_a_saga_before_the_pivot() {
    let script = order().reserved().after(HOURS_24).mark().timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn the_deadline_asks_for_the_fate_of_a_pivot_in_flight() {
    let script = order().charged().after(HOURS_24).mark().timer().reply("confirm-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn behind_the_pivot_the_deadline_only_marks() {
    let script = order().confirmed().after(HOURS_24).mark().timer();
    assert_snapshot!(script.text(), @"");
    let script = script.mark().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_deadline_does_not_pass_while_the_participant_is_down() {
    let script = order().after(HOURS_24).timer_with_down(&["inventory"]);
    assert_snapshot!(script.text(), @"");
    let script = script.mark().timer();
    assert_snapshot!(script.text(), @"");
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
    assert_snapshot!(script.text(), @"");
}

#[test]
fn without_a_pivot_the_deadline_turns_until_the_end() {
    let script = parcel().reply("book", ok()).reply("announce", ok()).after(3_600_000).mark().timer();
    assert_snapshot!(script.text(), @"");
}
