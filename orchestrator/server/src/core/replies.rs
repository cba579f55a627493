//! Reads replies and hands them to the next commit.
//!
//! Invariant: what cannot be read or routed becomes a dead letter before it is acknowledged; its
//! neighbours are not touched.

use std::sync::Arc;

use amends_broker::{Broker, ConsumerSpec, Delivery, Start};
use amends_contract::{DeadReason, Envelope, ORCHESTRATOR, OfPart, Reply, Stream, sift};
use metrics::counter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::dead_letters::{Dead, DeadLetters};
use super::pulse::Pulse;
use super::work::{Receipt, Task, Work};

/// Commands and replies that are older than this are sent again by the timers if they are still wanted.
const MINUTES_BACK: u64 = 10;

/// The consumer that all orchestrators of one prefix share.
pub(crate) fn consumer_spec(broker: &Broker, batch_count_max: usize) -> ConsumerSpec {
    ConsumerSpec {
        stream: Stream::Reply,
        durable: ORCHESTRATOR.to_owned(),
        filter: broker.names().all(Stream::Reply),
        start: Start::MinutesBack(MINUTES_BACK),
        batch_count_max,
    }
}

/// The loop's parts.
pub(crate) struct Replies {
    pub(crate) broker: Broker,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) inputs: mpsc::Sender<Work>,
    pub(crate) batch_count_max: usize,
    /// Learns how many messages come in a delivery.
    pub(crate) load: Admission,
    pub(crate) beats: Pulse,
}

impl Replies {
    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut consumer = self.broker.consumer(consumer_spec(&self.broker, self.batch_count_max));
        while let Some(deliveries) = consumer.next(&shutdown).await {
            self.beats.beat();
            counter!("amends_replies_received_total").increment(deliveries.len() as u64);
            let mut dead = Vec::new();
            for delivery in deliveries {
                let (works, rejects) = read(delivery, &self.broker);
                self.load.read(works.len() + rejects.len());
                dead.extend(rejects);
                for work in works {
                    if self.inputs.send(work).await.is_err() {
                        return; // shutting down: not acknowledged, so it comes again
                    }
                }
            }
            self.dead_letters.set_aside(dead).await;
        }
    }
}

/// The replies in a delivery, and what cannot be read of it.
fn read(delivery: Delivery, broker: &Broker) -> (Vec<Work>, Vec<Dead>) {
    let subject_type = broker.names().message_type(&delivery.subject);
    let (replies, reasons) = sift(&delivery.body, |envelope, _| route(envelope, subject_type));
    if replies.is_empty() && reasons.is_empty() {
        delivery.ack(); // an empty batch says nothing
        return (Vec::new(), Vec::new());
    }
    let receipt = Receipt::new(delivery, replies.len() + reasons.len());
    let work = |(part, reply): OfPart<Reply>| {
        let (saga, receipt) = (reply.effect.saga, Arc::clone(&receipt));
        Work::new(saga, Task::Reply { reply: Box::new(reply), receipt, part })
    };
    let dead = |(part, reason)| Dead { receipt: Arc::clone(&receipt), part, reason };
    (replies.into_iter().map(work).collect(), reasons.into_iter().map(dead).collect())
}

fn route(envelope: Envelope, subject_type: Option<&str>) -> Result<Reply, DeadReason> {
    if subject_type != Some(envelope.message_type.as_str()) {
        return Err(DeadReason {
            code: "unroutable".to_owned(),
            message: format!(
                "type {:?} came on a subject for {:?}",
                envelope.message_type,
                subject_type.unwrap_or_default()
            ),
        });
    }
    Reply::from_envelope(envelope).map_err(|error| DeadReason::from(&error))
}
