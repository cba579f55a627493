//! Steps that wait for a signal: it may come early, in time, late or never.

use amends_contract::Outcome;
use amends_engine::{Error, Input};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::approval;
use crate::script::{Script, ok, rejected, undone};

fn quoted() -> Script {
    Script::start(approval(), json!({ "total": 500 })).mark().reply("quote", ok())
}

fn signal(name: &str, data: Value) -> Input {
    Input::Signal { name: name.parse().unwrap(), data, actor: "boss".to_owned() }
}

fn refused(script: &mut Script, name: &str, data: Value) -> String {
    match script.try_input(signal(name, data)) {
        Err(Error::Refused { why, .. }) => why,
        other => panic!("it is not refused: {other:?}"),
    }
}

#[test]
fn a_signal_is_the_output_of_the_step_that_awaits_it() {
    let script = quoted().input(signal("approval", json!({ "by": "ada" })));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_signal_that_comes_early_is_kept() {
    let early = Script::start(approval(), json!({ "total": 500 })).mark();
    let script = early.input(signal("approval", json!({ "by": "ada" }))).reply("quote", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn without_a_signal_the_saga_turns_when_the_wait_is_over() {
    let script = quoted().mark().timer().reply("quote/undo", undone());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_wait_may_also_go_on() {
    let script = quoted().input(signal("approval", json!(true))).reply("ship", ok()).mark().timer();
    assert_snapshot!(script.text(), @"");
    assert_eq!(script.saga.status().as_str(), "completed");
}

#[test]
fn a_signal_counts_once() {
    let mut script = quoted().input(signal("approval", json!({ "by": "ada" }))).mark();
    let outputs = script.try_input(signal("approval", json!({ "by": "ada" }))).unwrap();
    assert!(outputs.is_empty());
    assert_snapshot!(script.text(), @"");
    assert_snapshot!(refused(&mut script, "approval", json!({ "by": "bob" })), @"");
}

#[test]
fn a_signal_that_nobody_awaits_is_refused() {
    let mut script = quoted();
    assert_snapshot!(refused(&mut script, "aproval", Value::Null), @"");
    let mut order = crate::script::order();
    assert_snapshot!(refused(&mut order, "approval", Value::Null), @"");
    let mut turned = quoted().cancel();
    assert_snapshot!(refused(&mut turned, "approval", Value::Null), @"");
    let mut ended = quoted().cancel().reply("quote/undo", undone());
    assert_eq!(ended.saga.status().as_str(), "compensated");
    assert_snapshot!(refused(&mut ended, "feedback", Value::Null), @"");
}

#[test]
fn a_branch_that_fails_ends_the_wait_of_the_other() {
    let script = Script::start(crate::definitions::approval_beside_charge(), Value::Null).mark();
    let script = script.reply("charge", rejected("declined")).reply("hold", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_answer_to_a_step_that_awaits_is_foreign() {
    let mut script = quoted().mark();
    let mut reply = script.answer("quote", Outcome::Succeeded { output: Value::Null });
    reply.effect.step = "approve".parse().unwrap();
    script.try_input(Input::Reply(reply)).unwrap();
    assert_snapshot!(script.text(), @"");
}
