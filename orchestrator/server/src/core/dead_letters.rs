//! Sets aside what nobody can read or route, and copies all dead letters into SQL for the operator.
//!
//! Invariant: the original is acknowledged only after its dead letter is stored in the broker.

use std::collections::BTreeMap;
use std::sync::Arc;

use amends_broker::{Ack, Broker, ConsumerSpec, Delivery, Outgoing, PublishError, Publisher, Start};
use amends_contract::{
    CONTENT_TYPE, DeadLetter, DeadReason, DecodeError, Envelope, Names, ORCHESTRATOR, Part, Stream, Token,
};
use amends_store::Store;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::work::Receipt;

/// Milliseconds after which a message is tried again whose dead letter the broker did not take.
const RETRY_MS: u64 = 5_000;

/// A message that nobody can read or route.
pub(crate) struct Dead {
    /// Of the delivery that brought it.
    pub(crate) receipt: Arc<Receipt>,
    /// Where in the delivery it stands.
    pub(crate) part: Part,
    /// Why.
    pub(crate) reason: DeadReason,
}

/// Where dead letters go.
#[derive(Clone)]
pub(crate) struct DeadLetters {
    publisher: Publisher,
    names: Names,
    stream: String,
}

impl DeadLetters {
    /// For messages of this stream.
    pub(crate) fn of(broker: &Broker, stream: Stream) -> Self {
        let names = broker.names().clone();
        Self { publisher: broker.publisher(), stream: names.stream(stream), names }
    }

    /// Publishes a dead letter for each, then acknowledges the original.
    pub(crate) async fn set_aside(&self, dead: Vec<Dead>) {
        let mut waiting: Vec<(Arc<Receipt>, DeadLetter)> = dead
            .into_iter()
            .map(|Dead { receipt, part, reason }| {
                let letter = letter(receipt.delivery(), part, self.stream.clone(), reason);
                (receipt, letter)
            })
            .collect();
        while !waiting.is_empty() {
            let batch = waiting.iter().map(|(_, letter)| self.outgoing(letter)).collect();
            let results = self.publisher.publish(batch).await;
            let again = waiting.into_iter().zip(results).filter_map(|((receipt, letter), result)| {
                let smaller = self.settle(&receipt, letter, result.err())?;
                Some((receipt, smaller))
            });
            waiting = again.collect();
        }
    }

    /// Acknowledges what was set aside; gives what is to be published in place of a letter that was too large.
    fn settle(
        &self,
        receipt: &Receipt,
        letter: DeadLetter,
        error: Option<PublishError>,
    ) -> Option<DeadLetter> {
        let DeadReason { code, message } = letter.reason.clone();
        match error {
            None => {
                counter!("amends_dead_letters_total", "code" => code.clone()).increment(1);
                tracing::warn!(code, reason = message, stream = self.stream, "a message was set aside");
                receipt.done();
                None
            }
            Some(error) => {
                let is_too_large = matches!(error, PublishError::TooLarge { .. });
                let smaller = is_too_large.then(|| smaller(letter)).flatten();
                if smaller.is_none() {
                    tracing::warn!(%error, "a dead letter could not be stored; the message comes again");
                    receipt.again_after(RETRY_MS);
                }
                smaller
            }
        }
    }

    fn outgoing(&self, letter: &DeadLetter) -> Outgoing {
        Outgoing {
            subject: self.names.dead(&letter.participant),
            body: letter.to_envelope().encode().into(),
            message_id: Some(letter.id()),
            content_type: CONTENT_TYPE,
            traceparent: None,
            ack: Ack::Own,
        }
    }
}

/// The same for a broker that takes less than most: without its headers, or as a last resort without its body, of
/// which it has size and digest, and its place in the stream.
fn smaller(letter: DeadLetter) -> Option<DeadLetter> {
    if !letter.headers.is_empty() {
        return Some(DeadLetter { headers: BTreeMap::new(), ..letter });
    }
    (!letter.body_base64.is_empty()).then(|| DeadLetter { body_base64: String::new(), ..letter })
}

fn orchestrator() -> Token {
    Token::new(ORCHESTRATOR).unwrap_or_else(|_| unreachable!("`orchestrator` is a token"))
}

/// Copies dead letters into SQL until shutdown.
pub(crate) async fn copy(broker: Broker, store: Store, batch_count_max: usize, shutdown: CancellationToken) {
    let mut consumer = broker.consumer(ConsumerSpec {
        stream: Stream::Dead,
        durable: ORCHESTRATOR.to_owned(),
        filter: broker.names().all(Stream::Dead),
        start: Start::Beginning,
        batch_count_max,
    });
    while let Some(deliveries) = consumer.next(&shutdown).await {
        let letters: Vec<DeadLetter> = deliveries.iter().map(|delivery| read(delivery, &broker)).collect();
        match store.insert_dead_letters(&letters).await {
            Ok(_) => deliveries.iter().for_each(Delivery::ack),
            Err(error) => {
                tracing::warn!(%error, "dead letters wait for the database");
                deliveries.iter().for_each(|delivery| delivery.nak_after(RETRY_MS));
            }
        }
    }
}

/// A dead letter, or one about a dead letter that cannot itself be read.
fn read(delivery: &Delivery, broker: &Broker) -> DeadLetter {
    let dead = Envelope::decode(&delivery.body).and_then(DeadLetter::from_envelope);
    dead.unwrap_or_else(|error: DecodeError| {
        let stream = broker.names().stream(Stream::Dead);
        letter(delivery, Part::WHOLE, stream, DeadReason::from(&error))
    })
}

fn letter(delivery: &Delivery, part: Part, stream: String, reason: DeadReason) -> DeadLetter {
    DeadLetter::new(orchestrator(), delivery.stored_at, reason, delivery.origin(stream, part))
}

#[cfg(test)]
mod tests {
    use amends_contract::Origin;

    use super::*;

    #[test]
    fn a_letter_that_no_broker_takes_whole_gets_smaller_until_nothing_can_be_left_out() {
        let origin = Origin {
            subject: "s".to_owned(),
            stream: "S".to_owned(),
            stream_seq: 7,
            headers: BTreeMap::from([("a".to_owned(), "b".to_owned())]),
            body: b"garbage",
            part: Part::WHOLE,
        };
        let reason = DeadReason { code: "not-json".to_owned(), message: "it is none".to_owned() };
        let at = amends_contract::Timestamp::from_unix_ms(0);
        let whole = DeadLetter::new(orchestrator(), at, reason, origin);
        let headless = smaller(whole.clone()).unwrap();
        assert!(headless.headers.is_empty() && headless.body().unwrap() == b"garbage");
        let empty = smaller(headless).unwrap();
        assert_eq!((empty.body().unwrap().len(), empty.body_bytes), (0, 7));
        assert_eq!((empty.body_digest, empty.id()), (whole.body_digest, whole.id()));
        assert_eq!(smaller(empty), None);
    }
}
