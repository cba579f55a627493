//! Whose turn it is: conditions, places, moments, and what comes out in the end.

use std::collections::BTreeSet;

use amends_contract::Outcome;
use amends_engine::{Begin, Input, OperatorAction, Place};
use insta::assert_snapshot;
use serde_json::json;

use crate::definitions::{checked, compile, limited};
use crate::script::{START, Script, failed, ok, rejected, succeeded, undone};

fn slots(steps: &[&str]) -> Input {
    let slots = steps.iter().map(|step| step.parse().unwrap()).collect();
    Input::Timer { blind: false, down: BTreeSet::new(), slots }
}

#[test]
fn a_step_whose_condition_is_false_is_skipped_and_gives_null() {
    let script = Script::start(checked(), json!({ "total": 10 })).mark().reply("reserve", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve do#1 succeeded
      succeeded reserve
      skipped check
      decided ship do attempts=3 data={"check":null} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"check":null}
      = running, due +10s
    "#);
}

#[test]
fn a_step_whose_condition_is_true_runs() {
    let script = Script::start(checked(), json!({ "total": 5000 })).mark().reply("reserve", ok());
    let script = script.reply("check", succeeded(json!({ "score": 7 }))).reply("ship", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve do#1 succeeded
      succeeded reserve
      decided check do attempts=3 data={} due_at=+10s
      -> credit.check check do#1 of +0s {}
      = running, due +10s
    +0s reply check do#1 succeeded {"output":{"score":7}}
      succeeded check output={"score":7}
      decided ship do attempts=3 data={"check":{"score":7}} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {"check":{"score":7}}
      = running, due +10s
    +0s reply ship do#1 succeeded
      succeeded ship
      done ending=completed output={"score":7}
      !! checked.completed (4/completed)
      = completed
    "#);
}

#[test]
fn a_condition_that_is_no_truth_value_fails_the_saga() {
    let script = Script::start(checked(), json!({ "total": "much" })).mark().reply("reserve", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply reserve do#1 succeeded
      succeeded reserve
      rejected check code=expression message="=input.total > 1000: wrong-type: `>` does not apply to string and int"
      turned failure={"code":"expression","detail":"=input.total > 1000: wrong-type: `>` does not apply to string and int","step":"check"} undo=["reserve"]
      decided reserve undo attempts=3 due_at=+10s
      -> warehouse.release reserve undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    "#);
}

#[test]
fn an_output_that_cannot_be_evaluated_does_not_undo_what_is_done() {
    let script = Script::start(checked(), json!({ "total": 5000 })).reply("reserve", ok());
    let script = script.reply("check", succeeded(json!({ "grade": "a" }))).mark().reply("ship", ok());
    assert_snapshot!(script.text(), @r#"
    +0s reply ship do#1 succeeded
      succeeded ship
      done ending=completed output_error="=steps['check'] == null ? 0 : steps['check'].score: no-such-key: there is no \"score\""
      !! checked.completed (4/completed)
      = completed
    "#);
    assert_eq!(script.saga.status().as_str(), "completed");
}

#[test]
fn a_limited_step_is_sent_when_it_is_given_a_place() {
    let script = Script::start(limited(), json!(null)).input(slots(&["charge"])).reply("charge", ok());
    assert_snapshot!(script.text(), @r#"
    +0s start
      started deadline_at=+24h steps=["charge","ship"]
      decided charge do attempts=3 data={} due_at=+10s queued=true
      !! limited.created (1/created)
      = running, held, due +24h
    +0s timer places: charge
      sent charge do due_at=+10s left=3 send_no=1
      -> payment.charge charge do#1 of +0s {}
      = running, due +10s
    +0s reply charge do#1 succeeded
      succeeded charge
      decided ship do attempts=3 data={} due_at=+10s
      -> warehouse.ship ship do#1 of +0s {}
      = running, due +10s
    "#);
}

#[test]
fn what_waits_for_a_place_is_never_undone() {
    let script = Script::start(limited(), json!(null)).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"}
      cancelled charge
      done ending=compensated
      !! limited.compensated (2/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}

#[test]
fn what_waits_for_a_place_is_not_due_and_cannot_jump_the_queue() {
    let mut script = Script::start(limited(), json!(null)).mark().after(11_000);
    assert_snapshot!(script.refused(OperatorAction::RetryNow), @"nothing is in flight or stuck that could be asked for again; allowed: [cancel, compensate, pause, edit-and-retry, settle-step, abandon]");
    assert!(script.saga.due_at() > Some(START.plus_ms(60_000)), "only its deadline");
}

#[test]
fn whom_it_never_asked_does_not_keep_the_deadline_from_passing() {
    let script = Script::start(limited(), json!(null)).mark().timer_with_down(&["payment"]);
    assert_snapshot!(script.text(), @r#"
    +24h timer down: payment
      turned failure={"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"}
      cancelled charge
      done ending=compensated
      !! limited.compensated (2/compensated) {"code":"deadline","detail":"not past the point of no return by 2026-11-22T08:00:00.000Z"}
      = compensated
    "#);
}

/// How its one limited step stands to its place.
fn place(script: &Script) -> Option<Place> {
    let places: Vec<Option<Place>> = script.saga.places().map(|(_, place)| place).collect();
    assert_eq!(places.len(), 1, "only what was decided counts");
    places[0]
}

#[test]
fn a_place_is_kept_as_long_as_the_step_may_be_running() {
    let source = "
saga: limited
version: 1
defaults:
  retry: { attempts: 1, jitter: 0 }
steps:
  - name: charge
    kind: compensatable
    concurrency: 2
    pending_max: 30s
    call: payment.charge
    undo: payment.refund
  - name: ship
    kind: pivot
    call: warehouse.ship
on_compensated:
  - name: regret
    kind: retriable
    call: mail.regret
";
    let queued = || Script::start(compile(source), json!(null));
    let sent = || queued().input(slots(&["charge"]));
    let given_up = || sent().timer();
    let (wanted, taken) = (Some(Place::Wanted), Some(Place::Taken));
    assert_eq!((place(&queued()), place(&sent())), (wanted, taken));
    assert_eq!(place(&sent().reply("charge", Outcome::Pending)), taken);
    assert_eq!(place(&sent().pending_until_stuck("charge")), taken, "it is still being found out");
    assert_eq!(place(&given_up()), taken, "nobody knows");
    assert_eq!(place(&given_up().reply("charge/undo", failed("busy"))), taken, "nor before it is undone");
    assert_eq!(place(&sent().reply("charge", Outcome::Conflict)), None, "it never ran");
    assert_eq!(place(&sent().reply("charge", ok())), None);
    assert_eq!(place(&queued().cancel()), None);
    for settled in [undone(), Outcome::NothingToUndo] {
        let script = given_up().reply("charge/undo", settled);
        assert_eq!((script.state("charge"), place(&script)), ("unknown", None));
    }
}

#[test]
fn a_place_given_twice_sends_once() {
    let mut script = Script::start(limited(), json!(null)).input(slots(&["charge"])).mark();
    script.try_input(slots(&["charge"])).unwrap();
    assert_snapshot!(script.text(), @r#"
    +0s timer places: charge
      ignored: not_due
    "#);
    let script = script.reply("charge", failed("busy")).mark().cancel().reply("charge/undo", undone());
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"} undo=["charge"]
      unknown charge
      decided charge undo attempts=3 due_at=+10s
      -> payment.refund charge undo#1 undoes do/1 of +0s {}
      = compensating, due +10s
    +0s reply charge undo#1 undone
      undone charge
      done ending=compensated
      !! limited.compensated (5/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}

#[test]
fn a_saga_begins_when_its_moment_comes() {
    let begin = Begin { start_at: Some(START.plus_ms(3_600_000)), ..Begin::from(json!({ "total": 10 })) };
    let script = Script::begin(checked(), begin.clone()).timer().reply("reserve", rejected("out"));
    assert_snapshot!(script.text(), @r#"
    +0s start
      started deadline_at=+25h steps=["reserve","check","ship"]
      !! checked.created (1/created)
      = running, due +1h
    +1h timer
      begun
      decided reserve do attempts=3 data={} due_at=+3610s
      -> warehouse.reserve reserve do#1 of +1h {}
      = running, due +3610s
    +1h reply reserve do#1 rejected {"code":"out","message":"no: out"}
      rejected reserve code=out message="no: out"
      turned failure={"code":"out","detail":"no: out","step":"reserve"}
      done ending=compensated
      !! checked.compensated (3/compensated) {"code":"out","detail":"no: out","step":"reserve"}
      = compensated
    "#);
    let at_once = Begin { start_at: Some(START), ..begin.clone() };
    assert_eq!(Script::begin(checked(), at_once).state("reserve"), "sent");
    let script = Script::begin(checked(), begin).mark().cancel();
    assert_snapshot!(script.text(), @r#"
    +0s cancel by ops: changed my mind
      turned failure={"code":"cancelled","detail":"changed my mind"}
      done ending=compensated
      !! checked.compensated (2/compensated) {"code":"cancelled","detail":"changed my mind"}
      = compensated
    "#);
}

#[test]
fn whoever_gave_its_place_back_does_not_take_it_again() {
    let places = |script: &Script| script.saga.places().filter(|(_, place)| place.is_some()).count();
    let sent = || Script::start(limited(), json!({})).input(slots(&["charge"]));
    let expired = sent().reply("charge", amends_contract::Outcome::Expired);
    assert_eq!((places(&sent()), places(&expired)), (1, 0));
    let cancelled = expired.cancel();
    assert_eq!((cancelled.state("charge"), places(&cancelled)), ("unknown", 0));
    // What may still be running keeps its place until its undo has settled it.
    let running = sent().cancel();
    assert_eq!((running.state("charge"), places(&running)), ("unknown", 1));
    assert_eq!(places(&running.reply("charge/undo", undone())), 0);
}
