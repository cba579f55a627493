//! What makes a step stuck, and what frees it.

use amends_contract::Outcome;
use amends_engine::{Input, ReplyInput};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::{compile, order_input};
use crate::script::{Script, ok, order, rejected, succeeded, undone};

#[test]
fn conflict_parks_the_saga() {
    let script = order().reply("reserve-stock", Outcome::Conflict);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn expired_parks_the_saga() {
    let script = order().reply("reserve-stock", Outcome::Expired);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn conflict_and_expired_of_an_older_sending_say_nothing() {
    let script = order().timer().mark();
    let script = script.reply_to("reserve-stock", 1, Outcome::Conflict);
    let script = script.reply_to("reserve-stock", 1, Outcome::Expired);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_cancellation_that_nobody_asked_for_is_stuck() {
    let script = order().reply("reserve-stock", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"");
    // It never ran, so there is nothing to undo.
    let script = script.mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_rejected_retriable_step_is_stuck() {
    let script = order().confirmed().mark().reply("send-confirmation", rejected("no-such-address"));
    assert_snapshot!(script.text(), @"");
    let script = script.mark().retry_now().reply_to("send-confirmation", 1, rejected("no-such-address"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_rejected_step_of_on_compensated_is_stuck() {
    let script = order().reply("reserve-stock", rejected("out-of-stock"));
    let script = script.mark().reply("send-rejection", rejected("no-such-address"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_undo_may_not_be_refused() {
    let script = order().reserved().reply("charge-payment", rejected("card-declined")).mark();
    for outcome in [rejected("never"), Outcome::Cancelled, Outcome::Conflict, Outcome::Expired, ok()] {
        let script = order().reserved().reply("charge-payment", rejected("card-declined"));
        let script = script.reply("reserve-stock/undo", outcome);
        assert_eq!(script.state("reserve-stock/undo"), "stuck");
        assert_eq!(script.saga.status().as_str(), "parked");
        let script = script.retry_now().reply("reserve-stock/undo", undone());
        assert_eq!(script.saga.status().as_str(), "compensating");
    }
    let script = script.reply("reserve-stock/undo", rejected("never"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_reply_against_its_schema_is_stuck_whichever_sending_it_answers() {
    let script = order().timer();
    let outcome = succeeded(json!({ "reservation": 7 }));
    let violation = Some("/reservation_id is missing".to_owned());
    let reply = ReplyInput { send_no: 1, violation, ..script.answer("reserve-stock", outcome) };
    let script = script.mark().input(Input::Reply(reply));
    assert_snapshot!(script.text(), @"");
    let script = script.mark().cancel();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_answer_of_the_other_direction_is_stuck() {
    let script = order().reply("reserve-stock", undone());
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_late_success_frees_the_step() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark().reserved();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn a_late_rejection_settles_a_stuck_step() {
    let script = order().reply("reserve-stock", Outcome::Expired).mark();
    let script = script.reply("reserve-stock", rejected("out-of-stock"));
    assert_snapshot!(script.text(), @"");
}

#[test]
fn another_reason_is_noted_and_the_same_is_a_duplicate() {
    let script = order().reply("reserve-stock", Outcome::Conflict).mark();
    let script = script
        .reply("reserve-stock", Outcome::Conflict)
        .reply("reserve-stock", Outcome::Expired)
        .reply("reserve-stock", Outcome::Pending);
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_expression_without_a_value_behind_the_pivot_is_stuck() {
    let mut input = order_input();
    input.as_object_mut().unwrap().remove("email");
    let script = Script::start(crate::definitions::order(), input).charged().mark();
    let script = script.reply("confirm-stock", ok());
    assert_snapshot!(script.text(), @"");
    let script = script.mark().retry_now();
    assert_snapshot!(script.text(), @"");
}

#[test]
fn an_undo_that_cannot_be_asked_for_is_stuck() {
    let definition = compile(UNDOABLE);
    let script = Script::start(definition.clone(), json!({ "small": "s" })).mark().cancel();
    assert_snapshot!(script.text(), @"");
    let late = script.mark().reply("only", rejected("no"));
    assert_snapshot!(late.text(), @"");

    let large = json!({ "small": "s", "large": "l".repeat(600 * 1024) });
    let script = Script::start(definition, large).mark().cancel();
    assert_eq!(script.state("only/undo"), "stuck");
    assert!(script.text().contains("too_large"), "{}", script.text());
}

const UNDOABLE: &str = "
saga: undoable
version: 1
steps:
  - name: only
    kind: compensatable
    call: shop.do
    with: { small: =input.small }
    undo: { call: shop.undo, with: { large: =input.large } }
";
