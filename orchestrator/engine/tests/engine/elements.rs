//! Steps that run once for each element of a list: each has its own effect and its own undo.

use amends_contract::Outcome;
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::definitions::parcels;
use crate::script::{Script, failed, ok, rejected, succeeded, undone};

fn packed(count: usize) -> Script {
    let list: Vec<Value> = (0..count).map(|number| json!({ "id": format!("p-{number}") })).collect();
    Script::start(parcels(), json!({ "parcels": list })).mark()
}

#[test]
fn every_element_is_asked_for_at_once_and_the_outputs_are_a_list() {
    let script = packed(2).reply("open", ok());
    let script = script.reply("pack.1", succeeded(json!("box-1"))).reply("pack.0", succeeded(json!("box-0")));
    assert_snapshot!(script.text(), @r#"
    +0s reply open do#1 succeeded
      succeeded open
      spread pack elements=[{"id":"p-0"},{"id":"p-1"}]
      decided pack.0 do attempts=3 data={"parcel":"p-0"} due_at=+10s
      decided pack.1 do attempts=3 data={"parcel":"p-1"} due_at=+10s
      -> warehouse.pack pack.0 do#1 of +0s {"parcel":"p-0"}
      -> warehouse.pack pack.1 do#1 of +0s {"parcel":"p-1"}
      = running, due +10s
    +0s reply pack.1 do#1 succeeded {"output":"box-1"}
      succeeded pack.1 output=box-1
      = running, due +10s
    +0s reply pack.0 do#1 succeeded {"output":"box-0"}
      succeeded pack.0 output=box-0
      decided ship do attempts=3 data={"boxes":["box-0","box-1"]} due_at=+10s
      -> carrier.ship ship do#1 of +0s {"boxes":["box-0","box-1"]}
      = running, due +10s
    "#);
}

#[test]
fn one_that_is_rejected_undoes_the_others_side_by_side() {
    let script =
        packed(3).reply("open", ok()).reply("pack.0", ok()).mark().reply("pack.1", rejected("broken"));
    let script = script.reply("pack.2", ok()).reply("pack.2/undo", undone()).reply("pack.0/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s reply pack.1 do#1 rejected {"code":"broken","message":"no: broken"}
      rejected pack.1 code=broken message="no: broken"
      turned failure={"code":"broken","detail":"no: broken","step":"pack"} undo=["open","pack.0","pack.2"]
      unknown pack.2
      decided pack.2 undo attempts=3 data={"label":"p-2","parcel":"p-2"} due_at=+10s
      decided pack.0 undo attempts=3 data={"label":"p-0","parcel":"p-0"} due_at=+10s
      -> warehouse.unpack pack.2 undo#1 undoes do/1 of +0s {"label":"p-2","parcel":"p-2"}
      -> warehouse.unpack pack.0 undo#1 undoes do/1 of +0s {"label":"p-0","parcel":"p-0"}
      = compensating, due +10s
    +0s reply pack.2 do#1 succeeded
      succeeded pack.2
      = compensating, due +10s
    +0s reply pack.2 undo#1 undone
      undone pack.2
      = compensating, due +10s
    +0s reply pack.0 undo#1 undone
      undone pack.0
      decided open undo attempts=3 due_at=+10s
      -> warehouse.close open undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn an_empty_list_is_done_at_once() {
    assert_snapshot!(packed(0).reply("open", ok()).text(), @r#"
    +0s reply open do#1 succeeded
      succeeded open
      spread pack elements=[]
      decided ship do attempts=3 data={"boxes":[]} due_at=+10s
      -> carrier.ship ship do#1 of +0s {"boxes":[]}
      = running, due +10s
    "#);
}

#[test]
fn a_list_that_is_too_long_is_no_list_at_all() {
    assert_snapshot!(packed(4).reply("open", ok()).text(), @r#"
    +0s reply open do#1 succeeded
      succeeded open
      rejected pack code=too-large message="the list of `for_each` has 4 elements; `at_most` allows 3"
      turned failure={"code":"too-large","detail":"the list of `for_each` has 4 elements; `at_most` allows 3","step":"pack"} undo=["open"]
      decided open undo attempts=3 due_at=+10s
      -> warehouse.close open undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn what_is_no_list_is_named() {
    let given = [Value::Null, json!(true), json!(1), json!("text"), json!({})].map(|list| {
        let script = Script::start(parcels(), json!({ "parcels": list })).reply("open", ok());
        script.saga.failure.unwrap().detail
    });
    assert_snapshot!(given.join("\n"), @"
    `for_each` goes through a list, and it gave null
    `for_each` goes through a list, and it gave a truth value
    `for_each` goes through a list, and it gave a number
    `for_each` goes through a list, and it gave a text
    `for_each` goes through a list, and it gave a map
    ");
}

#[test]
fn nothing_is_asked_for_unless_every_element_can_be() {
    let input = json!({ "parcels": [{ "id": "p-0" }, { "name": "no id" }] });
    let script = Script::start(parcels(), input).mark().reply("open", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply open do#1 succeeded
      succeeded open
      rejected pack code=expression message="=parcel.id: no-such-key: there is no \"id\""
      turned failure={"code":"expression","detail":"=parcel.id: no-such-key: there is no \"id\"","step":"pack"} undo=["open"]
      decided open undo attempts=3 due_at=+10s
      -> warehouse.close open undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn each_element_has_attempts_of_its_own() {
    let script = packed(2).reply("open", ok()).mark().reply("pack.0", failed("busy")).timer();
    assert_snapshot!(script.text(), @r#"
    +0s reply pack.0 do#1 failed {"code":"busy"}
      backed_off pack.0 do code=busy due_at=+200ms left=2
      = running, due +200ms
    +200ms timer
      sent pack.0 do due_at=+10200ms left=2 send_no=2
      -> warehouse.pack pack.0 do#2 of +0s {"parcel":"p-0"}
      = running, due +10s
    "#);
}

#[test]
fn a_reply_to_an_element_that_is_not_there_is_foreign() {
    let mut script = packed(1).reply("open", ok()).mark();
    let mut reply = script.answer("pack.0", Outcome::Succeeded { output: Value::Null.into() });
    reply.effect.step = "pack.7".parse().unwrap();
    script.try_input(amends_engine::Input::Reply(reply.clone())).unwrap();
    reply.effect.step = "pack".parse().unwrap();
    script.try_input(amends_engine::Input::Reply(reply)).unwrap();
    assert_snapshot!(script.text(), @r#"
    +0s reply pack.7 do#1 succeeded
      ignored: foreign
    +0s reply pack do#1 succeeded
      ignored: not_sent
    "#);
}
