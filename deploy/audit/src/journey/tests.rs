//! What an auditor makes of alarms.

use amends_contract::SagaId;
use amends_engine::JournalEntry;
use serde_json::{Value, json};

use super::Journey;
use crate::Invariant;

const SAGA: &str = "01a153dd-e4de-772b-beb6-b17845b50000";

/// An undo that an operator settles behind a fence, and whose participant says afterwards that it did it.
fn late(fenced: &str) -> Vec<JournalEntry> {
    let due_at = "2026-11-18T11:30:00.000Z";
    let reply = |number: u32, outcome: &str| {
        let effect = format!("{SAGA}/first/undo/1");
        let outcome = json!({ "outcome": outcome });
        json!({ "kind": "reply", "effect": effect, "send_no": number, "participant": "alpha", "outcome": outcome })
    };
    let intended =
        json!({ "decision": "intended", "step": "first", "effect": "undo", "then": { "settle": {} } });
    let fence = json!({
        "decision": "sent", "step": "first", "effect": "undo", "send_no": 2, "ask": { "fence": "settle" },
        "left": 3, "due_at": due_at,
    });
    let failure = json!({ "code": "deadline", "detail": "" });
    let turned = json!({ "decision": "turned", "failure": failure, "undo": ["first"] });
    let decided = |direction: &str| {
        json!({
            "decision": "decided", "step": "first", "effect": direction, "attempts": 3, "due_at": due_at,
        })
    };
    let succeeded = json!({ "decision": "succeeded", "step": "first" });
    let settle = json!({ "settle-step": { "step": "first", "effect": "undo", "output": null } });
    let entries = [
        (json!({ "kind": "timer" }), json!([decided("do"), succeeded, turned, decided("undo")])),
        (
            json!({ "kind": "operator", "action": settle, "actor": "ada", "reason": "by phone" }),
            json!([intended, fence]),
        ),
        (reply(2, fenced), json!([{ "decision": "undone", "step": "first", "by_hand": true }])),
        (
            reply(1, "undone"),
            json!([{ "decision": "alarmed", "step": "first", "alarm": "undone_after_closed" }]),
        ),
    ];
    let entry = |(seq, (input, decisions)): (usize, (Value, Value))| {
        let entry = json!({
            "saga": SAGA, "seq": seq + 1, "at": "2026-11-18T11:20:00.000Z", "input": input,
            "decisions": decisions, "engine_version": 3,
        });
        serde_json::from_value(entry).expect("a journal entry")
    };
    entries.into_iter().enumerate().map(entry).collect()
}

fn breaches(fenced: &str) -> Vec<Invariant> {
    let saga: SagaId = SAGA.parse().expect("a saga's id");
    let journal = late(fenced);
    Journey::read(saga, &journal, None).breaches.into_iter().map(|breach| breach.invariant).collect()
}

#[test]
fn what_was_forgotten_is_not_contradicted() {
    assert_eq!(breaches("expired"), []);
}

#[test]
fn what_was_ruled_out_is_contradicted() {
    assert_eq!(breaches("cancelled"), [Invariant::I8]);
}

/// It had said `expired` to a command, which proves nothing, and then shown that it never happens.
#[test]
fn what_was_ruled_out_after_all_is_contradicted() {
    let saga: SagaId = SAGA.parse().expect("a saga's id");
    let mut journal = late("cancelled");
    let mut expired = late("expired").remove(2);
    expired.decisions.clear();
    journal.insert(1, expired);
    let breaches = Journey::read(saga, &journal, None).breaches;
    assert_eq!(breaches.into_iter().map(|breach| breach.invariant).collect::<Vec<_>>(), [Invariant::I8]);
}
