//! Steps that wait for a signal: it may come early, in time, late or never.

use amends_contract::Outcome;
use amends_engine::{Error, Input};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::{apology, approval};
use crate::script::{Script, ok, rejected, undone};

fn quoted() -> Script {
    Script::start(approval(), json!({ "total": 500 })).mark().reply("quote", ok())
}

fn signal(name: &str, data: Value) -> Input {
    Input::Signal { name: name.parse().unwrap(), data: data.into(), actor: "boss".to_owned() }
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
    assert_snapshot!(script.text(), @r#"
    +0s reply quote do#1 succeeded
      succeeded quote
      awaited approve signal=approval until=+48h
      = running, awaiting, due +48h
    +0s signal approval by boss: {"by":"ada"}
      succeeded approve output={"by":"ada"}
      decided ship do attempts=3 data={"approved":{"by":"ada"}} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"approved":{"by":"ada"}}
      = running, due +10s
    "#);
}

#[test]
fn a_signal_that_comes_early_is_kept() {
    let early = Script::start(approval(), json!({ "total": 500 })).mark();
    let script = early.input(signal("approval", json!({ "by": "ada" }))).reply("quote", ok());
    assert_snapshot!(script.text(), @r#"
    +0s signal approval by boss: {"by":"ada"}
      signalled data={"by":"ada"} name=approval
      = running, due +10s
    +0s reply quote do#1 succeeded
      succeeded quote
      succeeded approve output={"by":"ada"}
      decided ship do attempts=3 data={"approved":{"by":"ada"}} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"approved":{"by":"ada"}}
      = running, due +10s
    "#);
}

#[test]
fn a_signal_that_comes_early_counts_once() {
    let early = Script::start(approval(), Value::Null).input(signal("approval", json!({ "by": "ada" })));
    let mut script = early.mark().input(signal("approval", json!({ "by": "ada" })));
    assert_snapshot!(script.text(), @r#"
    +0s signal approval by boss: {"by":"ada"}
      ignored: duplicate
    "#);
    assert_snapshot!(refused(&mut script, "approval", json!({ "by": "bob" })), @"the signal approval has come already, and said something else");
}

#[test]
fn on_the_way_back_only_what_is_still_to_come_is_kept() {
    let mut turned = quoted().cancel();
    assert_snapshot!(refused(&mut turned, "feedback", Value::Null), @"nobody awaits the signal feedback any more");
    let begun = || Script::start(apology(), Value::Null).mark();
    let script = begun().cancel().input(signal("accepted", json!(true))).reply("hold/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["hold"]
      unknown hold
      decided hold undo attempts=3 due_at=+10s
      -> warehouse.release hold undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s signal accepted by boss: true
      signalled data=true name=accepted
      = compensating, due +10s
    +0s reply hold undo#1 undone
      undone hold
      succeeded accept output=true
      done ending=compensated
      !! apology.compensated (4/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
    let mut completed = begun().reply("hold", ok());
    assert_eq!(completed.saga.status().as_str(), "completed");
    assert_snapshot!(refused(&mut completed, "accepted", Value::Null), @"nobody awaits the signal accepted any more");
}

#[test]
fn without_a_signal_the_saga_turns_when_the_wait_is_over() {
    let script = quoted().mark().timer().reply("quote/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +48h timer
      rejected approve code=timeout message="the signal approval did not come in time"
      turned failure={"code":"timeout","detail":"the signal approval did not come in time","step":"approve"} undo=["quote"]
      decided quote undo attempts=3 due_at=+172810s
      -> sales.withdraw quote undo#1 undoes do/1 of +48h {}
      = compensating, due +172810s
    +48h reply quote undo#1 undone
      undone quote
      done ending=compensated
      !! approval.compensated (4/compensated) {"code":"timeout","detail":"the signal approval did not come in time","step":"approve"}
      = compensated
    "#);
}

#[test]
fn a_wait_may_also_go_on() {
    let script = quoted().input(signal("approval", json!(true))).reply("ship", ok()).mark().timer();
    assert_snapshot!(script.text(), @r#"
    +24h timer
      succeeded listen
      done ending=completed
      !! approval.completed (5/completed)
      = completed
    "#);
    assert_eq!(script.saga.status().as_str(), "completed");
}

#[test]
fn a_signal_counts_once() {
    let mut script = quoted().input(signal("approval", json!({ "by": "ada" }))).mark();
    let outputs = script.try_input(signal("approval", json!({ "by": "ada" }))).unwrap();
    assert!(outputs.is_empty());
    assert_snapshot!(script.text(), @r#"
    +0s signal approval by boss: {"by":"ada"}
      ignored: duplicate
    "#);
    assert_snapshot!(refused(&mut script, "approval", json!({ "by": "bob" })), @"the signal approval has come already, and said something else");
}

#[test]
fn a_signal_that_nobody_awaits_is_refused() {
    let mut script = quoted();
    assert_snapshot!(refused(&mut script, "aproval", Value::Null), @"approval.v1 awaits no signal aproval, only approval, feedback");
    let mut order = crate::script::order();
    assert_snapshot!(refused(&mut order, "approval", Value::Null), @"order.v1 awaits no signal");
    let mut turned = quoted().cancel();
    assert_snapshot!(refused(&mut turned, "approval", Value::Null), @"nobody awaits the signal approval any more");
    let mut ended = quoted().cancel().reply("quote/undo", undone());
    assert_eq!(ended.saga.status().as_str(), "compensated");
    assert_snapshot!(refused(&mut ended, "feedback", Value::Null), @"nobody awaits the signal feedback any more");
}

#[test]
fn a_branch_that_fails_ends_the_wait_of_the_other() {
    let script = Script::start(crate::definitions::approval_beside_charge(), Value::Null).mark();
    let script = script.reply("charge", rejected("declined")).reply("hold", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge do#1 rejected {"code":"declined","message":"no: declined"}
      rejected charge code=declined message="no: declined"
      turned failure={"code":"declined","detail":"no: declined","step":"charge"} undo=["hold"]
      unknown hold
      cancelled approve
      decided hold undo attempts=3 due_at=+10s
      -> warehouse.release hold undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply hold do#1 succeeded
      succeeded hold
      = compensating, due +10s
    "#);
}

#[test]
fn an_answer_to_a_step_that_awaits_is_foreign() {
    let mut script = quoted().mark();
    let mut reply = script.answer("quote", Outcome::Succeeded { output: Value::Null.into() });
    reply.effect.step = "approve".parse().unwrap();
    script.try_input(Input::Reply(reply)).unwrap();
    assert_snapshot!(script.text(), @r#"
    +0s reply approve do#1 succeeded
      ignored: foreign
    "#);
}
