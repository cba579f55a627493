//! The virtual participant keeps the protocol, and each defect breaks it.

#![allow(clippy::unwrap_used)]

use amends_contract::{Address, Direction, FENCE};
use serde_json::{Value, json};

use super::*;

const SAGA: &str = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
const HORIZON_MS: u64 = 30 * 24 * 60 * 60 * 1000;

fn participant() -> Participant {
    Participant::new("payment".parse().unwrap(), HORIZON_MS)
}

fn effect(direction: &str) -> EffectId {
    format!("{SAGA}/charge/{direction}/1").parse().unwrap()
}

fn command(name: &str, direction: &str, send_no: u32) -> Command {
    let effect = effect(direction);
    Command {
        undoes: (effect.direction == Direction::Backward).then(|| self::effect("do")),
        effect,
        send_no,
        address: Address::new("payment", name).unwrap(),
        definition: "order.v1".parse().unwrap(),
        decided_at: now(),
        data: json!({ "amount": 7 }).into(),
    }
}

fn now() -> Timestamp {
    effect("do").saga.made_at()
}

fn well(command: &Command) -> Ran {
    Ran::Now(match command.effect.direction {
        Direction::Forward => Outcome::Succeeded { output: json!({ "charge": 1 }).into() },
        Direction::Backward => Outcome::Undone { output: Value::Null.into() },
    })
}

fn calls(_: &Command) -> Ran {
    Ran::Call
}

fn outcome(taken: Taken) -> &'static str {
    taken.reply().map_or("calls", |reply| reply.outcome.name())
}

fn charge(send_no: u32) -> Command {
    command("charge", "do", send_no)
}

fn refund(send_no: u32) -> Command {
    command("refund", "undo", send_no)
}

#[test]
fn an_effect_happens_once_and_its_reply_is_repeated() {
    let mut one = participant();
    let first = one.take(&charge(1), None, now(), &mut well);
    let cause = Some(Cause { stream_seq: 9, delivery: 2 });
    assert_eq!(one.take(&charge(2), cause, now(), &mut well), first);
    assert_eq!(one.happened(&effect("do")), 1);
    assert_eq!(outcome(one.take(&refund(1), None, now(), &mut well)), "undone");
    assert_eq!(outcome(one.take(&refund(2), None, now(), &mut well)), "undone");
    assert_eq!(one.happened(&effect("undo")), 1);
    let other = Command { data: json!({ "amount": 8 }).into(), ..charge(3) };
    assert_eq!(outcome(one.take(&other, None, now(), &mut well)), "conflict");
}

#[test]
fn an_undo_comes_first_and_the_action_never_runs() {
    let mut one = participant();
    assert_eq!(outcome(one.take(&refund(1), None, now(), &mut well)), "nothing_to_undo");
    assert_eq!(outcome(one.take(&charge(1), None, now(), &mut well)), "cancelled");
    assert_eq!(one.effects().count(), 0);

    let mut flawed = participant().with_defect(Defect::NoTombstone);
    assert_eq!(outcome(flawed.take(&refund(1), None, now(), &mut well)), "nothing_to_undo");
    assert_eq!(outcome(flawed.take(&charge(1), None, now(), &mut well)), "succeeded");
}

#[test]
fn what_fails_leaves_no_trace() {
    let mut one = participant();
    let mut fails = |_: &Command| Ran::Now(failed("down"));
    assert_eq!(outcome(one.take(&charge(1), None, now(), &mut fails)), "failed");
    assert!(one.row(&effect("do")).is_none());
    assert_eq!(outcome(one.take(&charge(2), None, now(), &mut well)), "succeeded");
}

#[test]
fn no_tombstone_beats_an_open_row() {
    let mut one = participant();
    assert_eq!(outcome(one.take(&charge(1), None, now(), &mut calls)), "calls");
    assert_eq!(outcome(one.take(&charge(2), None, now(), &mut calls)), "pending");
    assert_eq!(outcome(one.take(&refund(1), None, now(), &mut calls)), "pending");
    assert_eq!(one.ready_undos().count(), 0);
    // The call is made twice, since the first answer was lost; the charge happens once.
    let succeeded = Outcome::Succeeded { output: Value::Null.into() };
    one.call(&effect("do"), succeeded.clone());
    assert_eq!(one.call(&effect("do"), failed("other")), succeeded);
    assert_eq!(one.happened(&effect("do")), 1);
    let reply = one.settle(&effect("do"), Ended::Definite(succeeded)).unwrap();
    assert_eq!((reply.send_no, reply.outcome.name()), (1, "succeeded"));
    assert_eq!(one.ready_undos().collect::<Vec<_>>(), [&effect("undo")]);
    assert_eq!(outcome(one.resume(&effect("undo"), &mut well).unwrap()), "undone");
    assert_eq!((one.happened(&effect("do")), one.happened(&effect("undo"))), (1, 1));
    assert_eq!(one.settle(&effect("do"), Ended::Definite(Outcome::Cancelled)), None, "the first one wins");

    let mut flawed = participant().with_defect(Defect::TombstoneOverOpen);
    flawed.take(&charge(1), None, now(), &mut calls);
    assert_eq!(outcome(flawed.take(&refund(1), None, now(), &mut calls)), "nothing_to_undo");
}

#[test]
fn a_call_that_did_nothing_is_forgotten_or_closed() {
    let mut one = participant();
    one.take(&charge(1), None, now(), &mut calls);
    let reply = one.settle(&effect("do"), Ended::Nothing(failed("refused"))).unwrap();
    assert_eq!(reply.outcome.name(), "failed");
    assert!(one.row(&effect("do")).is_none());
    one.take(&charge(2), None, now(), &mut calls);
    one.take(&refund(1), None, now(), &mut calls);
    let reply = one.settle(&effect("do"), Ended::Nothing(failed("refused"))).unwrap();
    assert_eq!(reply.outcome.name(), "cancelled");
    assert_eq!(outcome(one.resume(&effect("undo"), &mut well).unwrap()), "nothing_to_undo");
    assert_eq!(one.effects().count(), 0);
}

#[test]
fn a_fence_makes_an_effect_final() {
    let fence = |direction, send_no| command(FENCE, direction, send_no);
    let mut one = participant();
    assert_eq!(outcome(one.take(&fence("do", 2), None, now(), &mut well)), "cancelled");
    assert_eq!(outcome(one.take(&charge(1), None, now(), &mut well)), "cancelled");

    let mut one = participant();
    one.take(&charge(1), None, now(), &mut calls);
    assert_eq!(outcome(one.take(&fence("do", 2), None, now(), &mut well)), "pending");

    let mut one = participant();
    one.take(&charge(1), None, now(), &mut well);
    assert_eq!(outcome(one.take(&fence("do", 2), None, now(), &mut well)), "succeeded");
    assert_eq!(outcome(one.take(&fence("undo", 1), None, now(), &mut well)), "cancelled");
    assert_eq!(outcome(one.take(&refund(2), None, now(), &mut well)), "cancelled");
    assert_eq!(one.happened(&effect("undo")), 0);

    let mut one = participant();
    assert_eq!(outcome(one.take(&fence("undo", 1), None, now(), &mut well)), "nothing_to_undo");
    assert_eq!(outcome(one.take(&charge(1), None, now(), &mut well)), "cancelled");
}

#[test]
fn what_may_have_been_forgotten_is_not_run() {
    let old = now().plus_ms(HORIZON_MS + Participant::PURGE_MARGIN_MS + 1);
    let mut one = participant();
    one.take(&charge(1), None, now(), &mut well);
    one.purge(old.minus_ms(2));
    assert_eq!(outcome(one.take(&charge(2), None, old, &mut well)), "succeeded");
    one.purge(old);
    assert_eq!(one.rows().count(), 0);
    assert_eq!(outcome(one.take(&charge(2), None, old, &mut well)), "expired");
    assert_eq!(one.happened(&effect("do")), 1);

    let mut flawed = participant().with_defect(Defect::PurgesEarly);
    flawed.take(&charge(1), None, now(), &mut well);
    flawed.purge(now().plus_ms(HORIZON_MS / 2));
    assert_eq!(outcome(flawed.take(&charge(2), None, now(), &mut well)), "succeeded");
    assert_eq!(flawed.happened(&effect("do")), 2);
}
