//! Steps that run once for each element of a list: each has its own effect and its own undo.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::parcels;
use crate::script::{Script, failed, ok, rejected, succeeded, undone};

fn packed(count: usize) -> Script {
    let parcels: Vec<Value> = (0..count).map(|number| json!({ "id": format!("p-{number}") })).collect();
    Script::start(parcels(), json!({ "parcels": parcels })).mark()
}

#[test]
fn every_element_is_asked_for_at_once_and_the_outputs_are_a_list() {
    let script = packed(2).reply("open", ok());
    let script = script.reply("pack.1", succeeded(json!("box-1"))).reply("pack.0", succeeded(json!("box-0")));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn one_that_is_rejected_undoes_the_others_side_by_side() {
    let script = packed(3).reply("open", ok()).reply("pack.0", ok()).mark().reply("pack.1", rejected("broken"));
    let script = script.reply("pack.2", ok()).reply("pack.2/undo", undone()).reply("pack.0/undo", undone());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_empty_list_is_done_at_once() {
    assert_snapshot!(packed(0).reply("open", ok()).text(), @"");
}

#[test]
fn a_list_that_is_too_long_is_no_list_at_all() {
    assert_snapshot!(packed(4).reply("open", ok()).text(), @"");
}

#[test]
fn nothing_is_asked_for_unless_every_element_can_be() {
    let input = json!({ "parcels": [{ "id": "p-0" }, { "name": "no id" }] });
    let script = Script::start(parcels(), input).mark().reply("open", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn each_element_has_attempts_of_its_own() {
    let script = packed(2).reply("open", ok()).mark().reply("pack.0", failed("busy")).timer();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_reply_to_an_element_that_is_not_there_is_foreign() {
    let mut script = packed(1).reply("open", ok()).mark();
    let mut reply = script.answer("pack.0", Outcome::Succeeded { output: Value::Null });
    reply.effect.step = "pack.7".parse().unwrap();
    script.try_input(amends_engine::Input::Reply(reply.clone())).unwrap();
    reply.effect.step = "pack".parse().unwrap();
    script.try_input(amends_engine::Input::Reply(reply)).unwrap();
    assert_snapshot!(script.text(), @"");
}
