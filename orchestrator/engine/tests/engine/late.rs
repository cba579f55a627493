//! Late, doubled and misdirected replies: they change what is known, never the direction.

use amends_contract::{Direction, Outcome};
use amends_engine::{ActionState, Input, ReplyInput, UndoState, Verdict};
use insta::assert_snapshot;
use serde_json::json;

use crate::script::{Script, ok, order, rejected, succeeded, undone};

/// The charge is given up; its undo is in flight.
fn given_up() -> Script {
    order().reserved().timer().timer().timer().mark()
}

#[test]
fn a_late_success_is_noted_while_the_undo_goes_on() {
    let script = given_up().reply_to("charge-payment", 1, succeeded(json!({ "charge_id": "ch-1" })));
    assert_snapshot!(script.text(), @r#"
    +30s reply charge-payment do#1 succeeded {"output":{"charge_id":"ch-1"}}
      succeeded charge-payment output={"charge_id":"ch-1"}
      = compensating, due +40s
    "#);
    let script = script.mark().reply("charge-payment/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +30s reply charge-payment undo#1 undone
      undone charge-payment
      decided reserve-stock undo attempts=3 due_at=+40s
      -> inventory.release-stock reserve-stock undo#1 undoes do/1 of +30s {"lines":[{"quantity":2,"sku":"TEA-1"}]}
      = compensating, due +40s
    "#);
}

#[test]
fn a_late_rejection_changes_neither_plan_nor_direction() {
    let script = given_up().reply_to("charge-payment", 2, rejected("card-declined"));
    assert_snapshot!(script.text(), @r#"
    +30s reply charge-payment do#2 rejected {"code":"card-declined","message":"no: card-declined"}
      rejected charge-payment code=card-declined message="no: card-declined"
      = compensating, due +40s
    "#);
    assert_eq!(script.state("charge-payment/undo"), "sent");
}

#[test]
fn a_late_cancellation_is_what_the_undo_asked_for() {
    let script = given_up().reply("charge-payment/undo", Outcome::NothingToUndo).mark();
    let script = script.reply("charge-payment", Outcome::Cancelled);
    assert_snapshot!(script.text(), @"
    +30s reply charge-payment do#3 cancelled
      cancelled charge-payment
      = compensating, due +40s
    ");
}

#[test]
fn a_late_reply_is_kept_even_when_all_is_over() {
    let script = given_up()
        .reply("charge-payment/undo", undone())
        .reply("reserve-stock/undo", undone())
        .reply("send-rejection", ok())
        .mark()
        .reply("charge-payment", ok());
    assert_snapshot!(script.text(), @"
    +30s reply charge-payment do#3 succeeded
      succeeded charge-payment
      = compensated
    ");
}

#[test]
fn a_success_after_nothing_to_undo_is_an_alarm() {
    let script = given_up().reply("charge-payment/undo", Outcome::NothingToUndo).mark();
    let script = script.reply("charge-payment", ok()).reply("charge-payment", ok());
    assert_snapshot!(script.text(), @"
    +30s reply charge-payment do#3 succeeded
      succeeded charge-payment
      alarmed charge-payment alarm=succeeded_after_nothing_to_undo
      = compensating, needs attention, alarm, due +40s
    +30s reply charge-payment do#3 succeeded
      ignored: duplicate
    ");
    let script = script.reply("reserve-stock/undo", undone()).reply("send-rejection", ok());
    assert!(script.saga.flags().needs_attention, "it stays for ever");
}

#[test]
fn a_success_after_a_final_no_is_an_alarm_once() {
    let rejected = order().reply("reserve-stock", rejected("out-of-stock")).mark();
    let script = rejected.reply("reserve-stock", ok()).reply("reserve-stock", ok());
    assert_snapshot!(script.text(), @"
    +0s reply reserve-stock do#1 succeeded
      alarmed reserve-stock alarm=succeeded_after_rejected
      = compensating, needs attention, alarm, due +10s
    +0s reply reserve-stock do#1 succeeded
      ignored: duplicate
    ");
    let cancelled = order().charged().cancel().reply("confirm-stock", Outcome::Cancelled).mark();
    let script = cancelled.reply("confirm-stock", ok());
    assert_snapshot!(script.text(), @"
    +0s reply confirm-stock do#2 succeeded
      alarmed confirm-stock alarm=succeeded_after_cancelled
      = compensating, needs attention, alarm, due +10s
    ");
}

#[test]
fn nothing_to_undo_after_a_success_is_an_alarm() {
    let script = order().reserved().reply("charge-payment", rejected("no")).mark();
    let script = script.reply("reserve-stock/undo", Outcome::NothingToUndo);
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve-stock undo#1 nothing_to_undo
      nothing_to_undo reserve-stock
      alarmed reserve-stock alarm=nothing_to_undo_after_succeeded
      decided send-rejection do attempts=3 data={"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"no","to":"ada@example.org"} due_at=+10s
      -> notification.send-rejection send-rejection do#1 of +0s {"order":"0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10","reason":"no","to":"ada@example.org"}
      = compensating, needs attention, alarm, due +10s
    "#);
}

#[test]
fn a_late_final_no_frees_a_stuck_undo() {
    for outcome in [rejected("no"), Outcome::Cancelled] {
        let script = given_up().reply("charge-payment/undo", Outcome::Expired);
        assert_eq!(script.saga.status().as_str(), "parked");
        let script = script.reply("charge-payment", outcome);
        assert_eq!(script.undo("charge-payment"), &UndoState::NothingToUndo);
        assert_eq!(script.state("reserve-stock/undo"), "sent", "and the saga goes on");
    }
}

#[test]
fn a_late_success_frees_an_undo_that_waited_for_it() {
    let script = given_up().pending_until_stuck("charge-payment/undo");
    let script = script.mark().reply("charge-payment", ok());
    assert_snapshot!(script.text(), @r#"
    +60s reply charge-payment do#3 succeeded
      succeeded charge-payment
      sent charge-payment undo due_at=+70s left=4 send_no=4
      -> payment.refund-payment charge-payment undo#4 undoes do/1 of +30s {"amount":{"amount":998,"currency":"EUR"},"customer":"c-1"}
      = compensating, due +70s
    "#);
    let stays = given_up().reply("charge-payment/undo", Outcome::Conflict).reply("charge-payment", ok());
    assert_eq!(stays.state("charge-payment/undo"), "stuck", "a conflict is another matter");
}

#[test]
fn duplicates_change_nothing() {
    let script = order().charged();
    for (step, outcome, what) in [
        ("reserve-stock", succeeded(json!({ "reservation_id": "r-1" })), "duplicate"),
        ("reserve-stock", rejected("no"), "contradiction"),
        ("reserve-stock", Outcome::Cancelled, "contradiction"),
        ("reserve-stock", Outcome::Pending, "stale"),
        ("reserve-stock", Outcome::Conflict, "stale"),
        ("reserve-stock", undone(), "stale"),
        ("reserve-stock/undo", undone(), "not_sent"),
        ("send-confirmation", ok(), "not_sent"),
        ("send-rejection", ok(), "not_sent"),
    ] {
        assert_eq!(ignored(&script, script.answer(step, outcome.clone())), what, "{step} {outcome:?}");
    }
    let back = order().charged().reply("confirm-stock", rejected("gone"));
    let back = back.reply("charge-payment/undo", undone());
    for (step, outcome, what) in [
        ("confirm-stock", rejected("gone"), "duplicate"),
        ("confirm-stock", Outcome::Cancelled, "contradiction"),
        ("charge-payment/undo", undone(), "duplicate"),
        ("charge-payment/undo", Outcome::NothingToUndo, "contradiction"),
        ("charge-payment/undo", Outcome::Pending, "stale"),
    ] {
        assert_eq!(ignored(&back, back.answer(step, outcome.clone())), what, "{step} {outcome:?}");
    }
}

#[test]
fn replies_for_somebody_else_change_nothing() {
    let script = order();
    let reply = || script.answer("reserve-stock", ok());
    let with = |change: &dyn Fn(&mut ReplyInput)| {
        let mut reply = reply();
        change(&mut reply);
        ignored(&script, reply)
    };
    assert_eq!(with(&|reply| reply.participant = "payment".parse().unwrap()), "foreign");
    assert_eq!(with(&|reply| reply.effect.step = "polish".parse().unwrap()), "foreign");
    assert_eq!(with(&|reply| reply.effect.step.index = Some(1)), "foreign");
    assert_eq!(with(&|reply| reply.effect.epoch = 2), "not_sent");
    let other = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c11".parse().unwrap();
    assert_eq!(with(&|reply| reply.effect.saga = other), "foreign");
    // A step without an undo has nobody to answer for it.
    assert_eq!(
        with(&|reply| {
            reply.effect.step = "confirm-stock".parse().unwrap();
            reply.effect.direction = Direction::Backward;
        }),
        "foreign"
    );
}

fn ignored(script: &Script, reply: ReplyInput) -> &'static str {
    let transition =
        amends_engine::handle(script.saga.clone(), Input::Reply(reply), script.now, &script.definition);
    let transition = transition.unwrap();
    assert_eq!(transition.saga, script.saga);
    match transition.verdict {
        Verdict::Ignored(why) => why.as_str(),
        Verdict::Applied => "applied",
    }
}

#[test]
fn what_is_known_of_the_action_does_not_depend_on_the_undo() {
    let script = given_up();
    assert_eq!(script.action("charge-payment"), &ActionState::Unknown);
    let early = script.reply("charge-payment", ok());
    assert_eq!(early.state("charge-payment"), "succeeded");
    let later = given_up().reply("charge-payment/undo", undone()).reply("charge-payment", ok());
    assert_eq!(later.state("charge-payment"), "succeeded");
    assert!(!later.saga.flags().alarm);
}
