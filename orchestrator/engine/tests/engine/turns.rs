//! Whose turn it is: conditions, places, moments, and what comes out in the end.

use std::collections::BTreeSet;

use amends_engine::{Begin, Input};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::{checked, limited};
use crate::script::{START, Script, failed, ok, rejected, succeeded, undone};

fn slots(steps: &[&str]) -> Input {
    let slots = steps.iter().map(|step| step.parse().unwrap()).collect();
    Input::Timer { blind: false, down: BTreeSet::new(), slots }
}

#[test]
fn a_step_whose_condition_is_false_is_skipped_and_gives_null() {
    let script = Script::start(checked(), json!({ "total": 10 })).mark().reply("reserve", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_step_whose_condition_is_true_runs() {
    let script = Script::start(checked(), json!({ "total": 5000 })).mark().reply("reserve", ok());
    let script = script.reply("check", succeeded(json!({ "score": 7 }))).reply("ship", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_condition_that_is_no_truth_value_fails_the_saga() {
    let script = Script::start(checked(), json!({ "total": "much" })).mark().reply("reserve", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_output_that_cannot_be_evaluated_does_not_undo_what_is_done() {
    let script = Script::start(checked(), json!({ "total": 5000 })).reply("reserve", ok());
    let script = script.reply("check", succeeded(json!({ "grade": "a" }))).mark().reply("ship", ok());
    assert_snapshot!(script.text(), @"");
    assert_eq!(script.saga.status().as_str(), "completed");
}

#[test]
fn a_limited_step_is_sent_when_it_is_given_a_place() {
    let script = Script::start(limited(), json!(null)).input(slots(&["charge"])).reply("charge", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn what_waits_for_a_place_is_never_undone() {
    let script = Script::start(limited(), json!(null)).mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn what_waits_for_a_place_is_not_due_and_cannot_jump_the_queue() {
    let script = Script::start(limited(), json!(null)).mark().after(11_000).retry_now();
    assert_snapshot!(script.text(), @"");
    assert!(script.saga.due_at() > Some(START.plus_ms(60_000)), "only its deadline");
}

#[test]
fn a_place_given_twice_sends_once() {
    let mut script = Script::start(limited(), json!(null)).input(slots(&["charge"])).mark();
    script.try_input(slots(&["charge"])).unwrap();
    assert_snapshot!(script.text(), @"");
    let script = script.reply("charge", failed("busy")).mark().cancel().reply("charge/undo", undone());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_saga_begins_when_its_moment_comes() {
    let begin = Begin { start_at: Some(START.plus_ms(3_600_000)), ..Begin::from(json!({ "total": 10 })) };
    let script = Script::begin(checked(), begin.clone()).timer().reply("reserve", rejected("out"));
    assert_snapshot!(script.text(), @"");
    let script = Script::begin(checked(), begin).mark().cancel();
    assert_snapshot!(script.text(), @"");
}
