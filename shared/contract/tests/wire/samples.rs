//! The messages that the golden files hold.

use std::collections::BTreeMap;

use amends_contract::{
    Address, Cause, Command, DeadLetter, DeadReason, EffectId, Event, Origin, Outcome, Part, Reply, Token,
};
use serde_json::json;

pub(crate) const SAGA: &str = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
pub(crate) const AT: &str = "2026-11-21T08:02:49.123Z";

pub(crate) fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

pub(crate) fn effect(rest: &str) -> EffectId {
    format!("{SAGA}/{rest}").parse().unwrap()
}

pub(crate) fn action() -> Command {
    Command {
        effect: effect("reserve-stock/do/1"),
        send_no: 1,
        address: Address::new("inventory", "reserve-stock").unwrap(),
        definition: "order.v1".parse().unwrap(),
        decided_at: AT.parse().unwrap(),
        undoes: None,
        data: json!({ "lines": [{ "sku": "TEA-1", "quantity": 2 }] }).into(),
    }
}

pub(crate) fn undo() -> Command {
    Command {
        effect: effect("reserve-stock/undo/1"),
        send_no: 3,
        address: Address::new("inventory", "release-stock").unwrap(),
        undoes: Some(effect("reserve-stock/do/1")),
        ..action()
    }
}

pub(crate) fn element() -> Command {
    Command { effect: effect("pack.12/do/2"), send_no: 10, ..action() }
}

pub(crate) fn fence() -> Command {
    Command {
        send_no: 4,
        address: Address::fence(token("inventory")),
        effect: effect("reserve-stock/undo/1"),
        undoes: Some(effect("reserve-stock/do/1")),
        data: json!({}).into(),
        ..action()
    }
}

pub(crate) fn reply(outcome: Outcome) -> Reply {
    Reply {
        effect: effect("reserve-stock/do/1"),
        send_no: 1,
        participant: token("inventory"),
        definition: "order.v1".parse().unwrap(),
        decided_at: AT.parse().unwrap(),
        cause: Some(Cause { stream_seq: 4711, delivery: 1 }),
        outcome,
    }
}

pub(crate) fn outcomes() -> Vec<Outcome> {
    vec![
        Outcome::Succeeded { output: json!({ "reservation_id": "r-1" }).into() },
        Outcome::Rejected { code: "out-of-stock".into(), message: "2 of TEA-1 wanted, 1 there".into() },
        Outcome::Failed { code: "provider-unreachable".into(), retry_after_ms: Some(500) },
        Outcome::Pending,
        Outcome::Cancelled,
        Outcome::Conflict,
        Outcome::Expired,
        Outcome::Undone { output: json!({ "refund_id": "re-1" }).into() },
        Outcome::NothingToUndo,
    ]
}

pub(crate) fn event() -> Event {
    Event {
        id: format!("{SAGA}/1/created"),
        source: token("orchestrator"),
        entity: token("order"),
        name: token("created"),
        at: AT.parse().unwrap(),
        saga: Some((SAGA.parse().unwrap(), "order.v1".parse().unwrap())),
        data: json!({ "id": SAGA, "status": "running" }).into(),
    }
}

pub(crate) fn dead_letter() -> DeadLetter {
    DeadLetter::new(
        token("inventory"),
        AT.parse().unwrap(),
        DeadReason { code: "not-json".into(), message: "the body is not JSON".into() },
        Origin {
            subject: "amends.cmd.inventory.reserve-stock".into(),
            stream: "AMENDS_CMD".into(),
            stream_seq: 4712,
            headers: BTreeMap::from([("Nats-Msg-Id".into(), "x".into())]),
            body: b"garbage",
            part: Part::WHOLE,
        },
    )
}
