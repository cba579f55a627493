//! What nobody can read: a corpus of broken messages, each with the reason that has to stand on its dead letter.
//!
//! Invariant: none of them has an effect, whoever reads it.

use serde_json::{Value, json};

/// Where poison is put: subject, and `type` of what is read there.
pub const PLACES: [(&str, &str); 4] = [
    ("amends.cmd.inventory.reserve-stock", "cmd.inventory.reserve-stock"),
    ("amends.cmd.payment.charge-payment", "cmd.payment.charge-payment"),
    ("amends.cmd.notification.send-confirmation", "cmd.notification.send-confirmation"),
    ("amends.reply.inventory", "reply.inventory"),
];

/// nats-server's default.
const MAX_PAYLOAD: usize = 1024 * 1024;

/// What nobody can read, and the reason that has to stand on it.
#[must_use]
pub fn corpus(message_type: &str) -> Vec<(Vec<u8>, &'static str)> {
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
    let lists = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"data":{lists}}}"#);
    // The broker counts headers and body; there are no headers.
    let rest = MAX_PAYLOAD - good.to_string().len() - 100;
    let large = with("data", json!({ "outcome": "pending", "x": "x".repeat(rest) }));
    vec![
        (b"this is no JSON".to_vec(), "not-json"),
        (vec![0xff; 100], "not-json"),
        (Vec::new(), "not-json"),
        (deep.into_bytes(), "not-json"),
        // A batch of one element, which is a list.
        (lists.into_bytes(), "not-an-envelope"),
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
