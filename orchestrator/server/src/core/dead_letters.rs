//! Sets aside what nobody can read or route, and copies all dead letters into SQL for the operator.
//!
//! Invariant: the original is acknowledged only after its dead letter is stored in the broker.

use std::sync::Arc;

use amends_broker::{Broker, ConsumerSpec, Delivery, Outgoing, Publisher, Start};
use amends_contract::{
    CONTENT_TYPE, DeadLetter, DeadReason, DecodeError, Envelope, Names, ORCHESTRATOR, Stream, Token,
};
use amends_store::Store;
use metrics::counter;
use tokio_util::sync::CancellationToken;

use super::work::Receipt;

/// Milliseconds after which a message is tried again whose dead letter the broker did not take.
const RETRY_MS: u64 = 5_000;

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
    pub(crate) async fn set_aside(&self, dead: Vec<(Arc<Receipt>, DeadReason)>) {
        if dead.is_empty() {
            return;
        }
        let batch =
            dead.iter().map(|(receipt, reason)| self.outgoing(receipt.delivery(), reason.clone())).collect();
        let results = self.publisher.publish(batch).await;
        for ((receipt, reason), result) in dead.into_iter().zip(results) {
            match result {
                Ok(_) => {
                    counter!("amends_dead_letters_total", "code" => reason.code.clone()).increment(1);
                    tracing::warn!(
                        code = reason.code,
                        reason = reason.message,
                        stream = self.stream,
                        "a message was set aside"
                    );
                    receipt.done();
                }
                Err(error) => {
                    tracing::warn!(%error, "a dead letter could not be stored; the message comes again");
                    receipt.again_after(RETRY_MS);
                }
            }
        }
    }

    fn outgoing(&self, delivery: &Delivery, reason: DeadReason) -> Outgoing {
        let letter = DeadLetter::new(
            orchestrator(),
            delivery.stored_at,
            reason,
            (self.stream.clone(), delivery.stream_seq),
            delivery.subject.clone(),
            delivery.headers(),
            &delivery.body,
        );
        Outgoing {
            subject: self.names.dead(&letter.participant),
            body: letter.to_envelope().encode().into(),
            message_id: Some(letter.id()),
            content_type: CONTENT_TYPE,
            traceparent: None,
        }
    }
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
    Envelope::decode(&delivery.body).and_then(DeadLetter::from_envelope).unwrap_or_else(
        |error: DecodeError| {
            DeadLetter::new(
                orchestrator(),
                delivery.stored_at,
                DeadReason::from(&error),
                (broker.names().stream(Stream::Dead), delivery.stream_seq),
                delivery.subject.clone(),
                delivery.headers(),
                &delivery.body,
            )
        },
    )
}
