//! Garbage in the streams becomes dead letters with reasons, and its neighbours go on.

use std::collections::BTreeMap;

use amends_tests::{
    System, Wire,
    audit::{audit, settled},
    eventually,
    traffic::{Kind, Order, Submission, restock},
};
use serde_json::{Value, json};

use crate::alone;

/// nats-server's default.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// What nobody can read, and the reason that has to stand on it.
fn poison(message_type: &str) -> Vec<(Vec<u8>, &'static str)> {
    let good = json!({
        "specversion": "1.0",
        "id": "x",
        "source": "somebody",
        "type": message_type,
        "time": "2026-11-21T08:02:49.123Z",
        "data": { "outcome": "pending" },
    });
    let with = |name: &str, value: Value| {
        let mut envelope = good.clone();
        envelope[name] = value;
        envelope.to_string().into_bytes()
    };
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    // The broker counts headers and body; there are no headers.
    let rest = MAX_PAYLOAD - good.to_string().len() - 100;
    let large = with("data", json!({ "outcome": "pending", "x": "x".repeat(rest) }));
    vec![
        (b"this is no JSON".to_vec(), "not-json"),
        (vec![0xff; 100], "not-json"),
        (Vec::new(), "not-json"),
        (deep.into_bytes(), "not-json"),
        (b"{}".to_vec(), "not-an-envelope"),
        (b"42".to_vec(), "not-an-envelope"),
        (with("specversion", json!("2.0")), "unknown-version"),
        (with("data", json!({ "a": "\u{0}" })), "nul-character"),
        (good.to_string().into_bytes(), "missing-attribute"),
        (with("effectid", json!("no effect")), "invalid-attribute"),
        // No command is larger than 512 KiB; a reply may be.
        (large, if message_type.starts_with("cmd.") { "too-large" } else { "missing-attribute" }),
    ]
}

#[tokio::test]
async fn poison_is_set_aside_and_its_neighbours_are_unharmed() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    let mut wire = Wire::connect(&system.broker.url());
    let mut wanted = BTreeMap::new();
    let submission = Submission::start(&system, (0..40).map(|n| Order::new(Kind::Good, n, 1)).collect());
    for (subject, message_type) in [
        ("amends.cmd.inventory.reserve-stock", "cmd.inventory.reserve-stock"),
        ("amends.cmd.payment.charge-payment", "cmd.payment.charge-payment"),
        ("amends.cmd.notification.send-confirmation", "cmd.notification.send-confirmation"),
        ("amends.reply.inventory", "reply.inventory"),
    ] {
        for (body, reason) in poison(message_type) {
            let seq = wire.publish(subject, &body);
            wanted.insert((subject.to_owned(), seq), reason);
        }
    }
    let orders = submission.all().await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;

    let found = eventually(
        "each poisoned message is a dead letter",
        async || {
            let found = dead_letters(&mut Wire::connect(&system.broker.url()));
            (found.len() >= wanted.len()).then_some(found)
        },
        async || system.dump().await,
    )
    .await;
    let wanted: BTreeMap<_, _> =
        wanted.into_iter().map(|(place, reason)| (place, reason.to_owned())).collect();
    assert_eq!(found, wanted);
}

/// Place of the original and reason of each dead letter.
fn dead_letters(wire: &mut Wire) -> BTreeMap<(String, u64), String> {
    let read = |(subject, body): (String, Vec<u8>)| {
        assert!(subject.starts_with("amends.dead."), "{subject}");
        let envelope: Value = serde_json::from_slice(&body).expect("a dead letter is JSON");
        let letter = &envelope["data"];
        let place = (letter["subject"].as_str()?.to_owned(), letter["stream_seq"].as_u64()?);
        Some((place, letter["reason"]["code"].as_str()?.to_owned()))
    };
    wire.messages("AMENDS_DEAD").into_iter().filter_map(read).collect()
}
