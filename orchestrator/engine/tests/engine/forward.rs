//! Going forward: what is decided when, with which data, and what cannot be decided at all.

use amends_engine::{Error, start};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::{compile, order, order_input};
use crate::script::{START, Script, ok, parcel, saga_id};

#[test]
fn an_order_runs_through() {
    let script = Script::start(order(), order_input()).confirmed().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn without_a_pivot_the_last_success_is_the_point_of_no_return() {
    let script = parcel().reply("book", ok()).reply("announce", ok()).mark().reply("label", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn labels_are_fixed_at_the_start() {
    let definition = compile(LABELLED);
    let label = |input| {
        start(saga_id(), &definition, input, START).map(|transition| {
            let labels = transition.saga.labels.iter();
            labels.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
        })
    };
    assert_eq!(label(json!({ "who": "ada", "vip": true })).unwrap(), "vip=true who=ada");
    assert_eq!(label(json!({ "who": null, "vip": 7 })).unwrap(), "vip=7", "null is no label");
    let Err(Error::Label { label: name, .. }) = label(json!({ "who": "ada" })) else { panic!("a label") };
    assert_eq!(name.as_str(), "vip");
    let error = label(json!({ "who": ["ada"], "vip": 1 })).unwrap_err();
    assert_snapshot!(error, @"");
}

const LABELLED: &str = "
saga: labelled
version: 1
labels: { who: =input.who, vip: =input.vip }
steps:
  - name: only
    kind: compensatable
    call: shop.do
    with: {}
    undo: shop.undo
";

#[test]
fn an_expression_without_a_value_counts_as_a_rejection() {
    let mut input = order_input();
    input.as_object_mut().unwrap().remove("total");
    let script = Script::start(order(), input).mark().reserved();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_pivot_that_cannot_be_asked_for_turns_the_saga() {
    let script = crate::script::order().reply("reserve-stock", ok()).mark().reply("charge-payment", ok());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_command_that_is_too_large_counts_as_a_rejection() {
    // 512 KiB of data cannot fit an envelope of 512 KiB; 500 can.
    let parcel = |kib: usize| {
        let input = json!({ "parcel": "p".repeat(kib * 1024), "reason": "moved" });
        Script::start(crate::definitions::parcel(), input)
    };
    assert_eq!(parcel(511).saga.status().as_str(), "running");
    let script = parcel(512);
    let failure = script.saga.failure.as_ref().unwrap();
    assert_snapshot!(format!("{}: {}: {}", script.saga.status(), failure.code, failure.detail), @"");
    assert_eq!(script.state("book"), "rejected");
}

#[test]
fn the_size_is_that_of_the_envelope_on_the_wire() {
    let parcel = |bytes: usize| {
        let input = json!({ "parcel": "p".repeat(bytes), "reason": "" });
        Script::start(crate::definitions::parcel(), input)
    };
    let fits = (523_000..524_288).rev().find(|bytes| parcel(*bytes).saga.failure.is_none()).unwrap();
    let command = amends_engine::open_commands(&parcel(fits).saga, &crate::definitions::parcel());
    let mut last = command[0].clone();
    last.send_no = u32::MAX;
    let bytes = serde_json::to_vec(&last.to_envelope()).unwrap().len();
    assert_eq!(bytes, amends_contract::COMMAND_BYTES_MAX, "no byte is given away");
}
