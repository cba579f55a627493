//! Forged journals: what an engine with a bug would have written, or a hand in the database.
//!
//! Invariant: pure; each takes an entry and gives the one that takes its place.

use serde_json::{Value, json};

/// The decisions of an entry.
fn list(entry: &mut Value) -> &mut Vec<Value> {
    entry["decisions"].as_array_mut().expect("an entry has decisions")
}

fn position(entry: &mut Value, decision: &str) -> Option<usize> {
    list(entry).iter().position(|found| found["decision"] == decision)
}

/// The refund, which came last and is undone first, changes places with the release.
pub(crate) fn forward_order(mut entry: Value) -> Value {
    for decision in list(&mut entry) {
        if decision["decision"] == "decided" && decision["effect"] == "undo" {
            let other = if decision["step"] == "charge-payment" { "reserve-stock" } else { "charge-payment" };
            decision["step"] = json!(other);
        }
    }
    entry
}

/// The plan leaves out the charge.
pub(crate) fn forgets_a_step(mut entry: Value) -> Value {
    if let Some(position) = position(&mut entry, "turned") {
        let plan = list(&mut entry)[position]["undo"].as_array_mut().expect("a plan");
        plan.retain(|step| step != "charge-payment");
    }
    entry
}

/// It turns behind its pivot.
pub(crate) fn guesses_the_pivot(mut entry: Value) -> Value {
    if position(&mut entry, "done").is_some() {
        let failure = json!({ "code": "cancelled", "detail": "" });
        let undo = json!(["reserve-stock", "charge-payment"]);
        list(&mut entry).insert(0, json!({ "decision": "turned", "failure": failure, "undo": undo }));
    }
    entry
}

/// The pivot is asked for in the beginning.
pub(crate) fn hastens(mut entry: Value) -> Value {
    if entry["seq"] == 1
        && let Some(position) = position(&mut entry, "decided")
    {
        let mut early = list(&mut entry)[position].clone();
        early["step"] = json!("confirm-stock");
        list(&mut entry).push(early);
    }
    entry
}

/// The first command is sent again under its number.
pub(crate) fn repeats_a_number(mut entry: Value) -> Value {
    if entry["seq"] == 1 {
        let again = sent(&entry, 1);
        list(&mut entry).push(again);
    }
    entry
}

/// The first step begins anew while its first try is on its way.
pub(crate) fn new_epoch(mut entry: Value) -> Value {
    if entry["seq"] == 1
        && let Some(position) = position(&mut entry, "decided")
    {
        let mut again = list(&mut entry)[position].clone();
        again["epoch"] = json!(2);
        list(&mut entry).push(again);
    }
    entry
}

/// The first step counts as done by an operator's word while its command is on its way.
pub(crate) fn settles_by_hand(mut entry: Value) -> Value {
    if entry["seq"] == 1 {
        let done = json!({ "decision": "succeeded", "step": "reserve-stock", "by_hand": true });
        list(&mut entry).push(done);
    }
    entry
}

/// A reply is taken twice.
pub(crate) fn succeeds_twice(mut entry: Value) -> Value {
    if let Some(position) = position(&mut entry, "succeeded") {
        let again = list(&mut entry)[position].clone();
        list(&mut entry).insert(position, again);
    }
    entry
}

/// It turns, and turns again.
pub(crate) fn turns_twice(mut entry: Value) -> Value {
    if entry["seq"] == 1 {
        let failure = json!({ "code": "cancelled", "detail": "" });
        let turned = json!({ "decision": "turned", "failure": failure, "undo": [] });
        list(&mut entry).extend([turned.clone(), turned]);
    }
    entry
}

/// The first command is sent a hundred times at once.
pub(crate) fn storms(mut entry: Value) -> Value {
    if entry["seq"] == 1 {
        let sends: Vec<Value> = (2..100).map(|number| sent(&entry, number)).collect();
        list(&mut entry).extend(sends);
    }
    entry
}

/// A participant contradicts what it had proved.
pub(crate) fn contradicts(mut entry: Value) -> Value {
    if position(&mut entry, "done").is_some() {
        let alarm = "succeeded_after_nothing_to_undo";
        list(&mut entry).push(json!({ "decision": "alarmed", "step": "reserve-stock", "alarm": alarm }));
    }
    entry
}

/// A signal that nobody gave.
pub(crate) fn nobody(mut entry: Value) -> Value {
    if entry["input"]["kind"] == "signal" {
        entry["input"]["actor"] = json!("");
    }
    entry
}

fn sent(entry: &Value, number: u32) -> Value {
    json!({
        "decision": "sent", "step": "reserve-stock", "effect": "do", "send_no": number, "left": 1,
        "due_at": entry["at"],
    })
}
