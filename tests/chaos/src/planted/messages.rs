//! An outsider at the broker of a play: who looks at messages, copies them, loses them, and sees what was read.
//!
//! Invariant: a copy is published under no id, so that the broker's duplicate window does not hide it.

use amends_tests::Wire;
use serde_json::{Value, json};

/// Commands, and replies.
pub(super) const COMMANDS: &str = "AMENDS_CMD";
pub(super) const REPLIES: &str = "AMENDS_REPLY";

/// Who reads what, commands first: whoever has answered them all has published all replies.
const READERS: [(&str, &str); 4] =
    [(COMMANDS, "inventory"), (COMMANDS, "payment"), (COMMANDS, "notification"), (REPLIES, "orchestrator")];

/// A message: subject and body.
pub(super) type Message = (String, Vec<u8>);

/// A connection to the broker.
pub(super) struct Messages(Wire);

impl Messages {
    pub(super) fn at(url: &str) -> Self {
        Self(Wire::connect(url))
    }

    /// All messages of a stream that are about this effect.
    pub(super) fn about(&mut self, stream: &str, effect: &str) -> Vec<Message> {
        let is_it = |(_, body): &Message| {
            serde_json::from_slice::<Value>(body).is_ok_and(|body| body["effectid"] == effect)
        };
        let Some((first, last)) = self.0.positions(stream) else { return Vec::new() };
        self.0.messages_between(stream, first, last).into_iter().filter(is_it).collect()
    }

    /// Publishes them as they are.
    pub(super) fn publish(&mut self, messages: &[Message]) {
        self.0.scatter(messages.iter().map(|(subject, body)| (subject.as_str(), body.as_slice())));
    }

    /// Loses all that a stream holds.
    pub(super) fn purge(&mut self, stream: &str) {
        self.0.api(&format!("STREAM.PURGE.{stream}"), &json!({}));
    }

    /// How much of a stream a reader was given, and how much of that it has acknowledged.
    pub(super) fn read_by(&mut self, stream: &str, reader: &str) -> (u64, u64) {
        let info = self.0.api(&format!("CONSUMER.INFO.{stream}.{reader}"), &json!({}));
        let number = |pointer: &str| info.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        let given = number("/delivered/consumer_seq");
        (given, given.saturating_sub(number("/num_ack_pending")))
    }

    /// Whether everything was read, answered and acknowledged.
    pub(super) fn are_read(&mut self) -> bool {
        READERS.into_iter().all(|(stream, reader)| {
            let info = self.0.api(&format!("CONSUMER.INFO.{stream}.{reader}"), &json!({}));
            info["num_pending"] == 0 && info["num_ack_pending"] == 0
        })
    }
}
