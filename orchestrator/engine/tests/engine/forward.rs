//! Going forward: what is decided when, with which data, and what cannot be decided at all.

use amends_engine::{Error, start};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::{compile, order, order_input};
use crate::script::{START, Script, ok, parcel, saga_id};

#[test]
fn an_order_runs_through() {
    let script = Script::start(order(), order_input()).confirmed().reply("send-confirmation", ok());
    assert_snapshot!(script.text(), @r#"
    +0s start
      started deadline_at=+24h steps=["reserve-stock","charge-payment","confirm-stock","send-confirmation","send-rejection"]
      decided reserve-stock do attempts=3 data={"lines":[{"quantity":2,"sku":"TEA-1"}]} due_at=+10s
      -> inventory.reserve-stock reserve-stock do#1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      !! order.created (1/created)
      = running, due +10s
    +0s reply reserve-stock do#1 succeeded {"output":{"reservation_id":"r-1"}}
      succeeded reserve-stock output={"reservation_id":"r-1"}
      decided charge-payment do attempts=3 data={"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"} due_at=+10s
      -> payment.charge-payment charge-payment do#1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = running, due +10s
    +0s reply charge-payment do#1 succeeded {"output":{"charge_id":"ch-1"}}
      succeeded charge-payment output={"charge_id":"ch-1"}
      decided confirm-stock do attempts=3 data={"reservation":"r-1"} due_at=+10s
      -> inventory.confirm-stock confirm-stock do#1 of +0s {"reservation":"r-1"}
      = running, due +10s
    +0s reply confirm-stock do#1 succeeded
      succeeded confirm-stock
      decided send-confirmation do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"} due_at=+10s
      -> notification.send-confirmation send-confirmation do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","to":"ada@example.org"}
      = running, due +10s
    +0s reply send-confirmation do#1 succeeded
      succeeded send-confirmation
      done ending=completed
      !! order.completed (5/completed)
      = completed
    "#);
}

#[test]
fn without_a_pivot_the_last_success_is_the_point_of_no_return() {
    let script = parcel().reply("book", ok()).reply("announce", ok()).mark().reply("label", ok());
    assert_snapshot!(script.text(), @"
    +0s reply label do#1 succeeded
      succeeded label
      done ending=completed
      !! parcel.completed (4/completed)
      = completed
    ");
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
    assert_snapshot!(error, @"label who has no value: a label is a text, a number or a truth value");
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
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock do#1 succeeded {"output":{"reservation_id":"r-1"}}
      succeeded reserve-stock output={"reservation_id":"r-1"}
      rejected charge-payment code=expression message="=input.total: no-such-key: there is no \"total\""
      turned failure={"code":"expression","detail":"=input.total: no-such-key: there is no \"total\"","step":"charge-payment"} undo=["reserve-stock"]
      decided reserve-stock undo attempts=3 due_at=+10s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +0s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +10s
    "#);
}

#[test]
fn a_pivot_that_cannot_be_asked_for_turns_the_saga() {
    let script = crate::script::order().reply("reserve-stock", ok()).mark().reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply charge-payment do#1 succeeded
      succeeded charge-payment
      rejected confirm-stock code=expression message="=steps['reserve-stock'].reservation_id: wrong-type: `.` does not apply to null_type and string"
      turned failure={"code":"expression","detail":"=steps['reserve-stock'].reservation_id: wrong-type: `.` does not apply to null_type and string","step":"confirm-stock"} undo=["reserve-stock","charge-payment"]
      decided charge-payment undo attempts=4 due_at=+10s
      -> payment.refund-payment charge-payment undo#1 undoes do/1 of +0s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +10s
    "#);
}

#[test]
fn a_command_that_is_too_large_counts_as_a_rejection() {
    // 512 KiB of data cannot fit an envelope of 512 KiB; 511 can.
    let parcel = |kib: usize| {
        let input = json!({ "parcel": "p".repeat(kib * 1024), "reason": "moved" });
        Script::start(crate::definitions::parcel(), input)
    };
    assert_eq!(parcel(511).saga.status().as_str(), "running");
    let script = parcel(512);
    let failure = script.saga.failure.as_ref().unwrap();
    assert_snapshot!(format!("{}: {}: {}", script.saga.status(), failure.code, failure.detail), @"compensated: too-large: the command has 524693 bytes; at most 524288 are sent");
    assert_eq!(script.state("book"), "rejected");
}

#[test]
fn a_value_that_is_nested_too_deep_counts_as_too_large() {
    let deep = (0..amends_contract::DATA_DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
    let input = json!({ "parcel": deep, "reason": "moved" });
    let script = Script::start(crate::definitions::parcel(), input);
    assert_eq!(script.saga.failure.as_ref().unwrap().code, "too-large");
}

#[test]
fn the_size_is_that_of_the_envelope_on_the_wire() {
    let definition = crate::definitions::parcel();
    let saga = |bytes: usize| {
        let input = json!({ "parcel": "p".repeat(bytes), "reason": "" });
        start(saga_id(), &definition, input, START).unwrap().saga
    };
    // The envelope of its last possible sending, when only one byte of data is in it.
    let mut command = amends_engine::open_commands(&saga(1), &definition).remove(0);
    command.send_no = u32::MAX;
    let bytes = serde_json::to_vec(&command.to_envelope()).unwrap().len();
    let most = 1 + amends_contract::COMMAND_BYTES_MAX - bytes;
    assert_eq!(saga(most).failure, None);
    assert_eq!(saga(most + 1).failure.unwrap().code, "too-large");
}
