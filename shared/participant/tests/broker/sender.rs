//! The orchestrator's part, played: it sends commands, again while they are unanswered, and reads replies.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use amends_broker::{Ack, Broker, ConsumerSpec, Outgoing, Start, Stream};
use amends_contract::{CONTENT_TYPE, Command, EffectId, Envelope, Outcome, Reply};
use bytes::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How long it waits for replies before it sends again what is unanswered.
const RESEND_AFTER: Duration = Duration::from_millis(500);
/// Rounds of sending before a test fails.
const ROUNDS_MAX: u32 = 240;

pub(crate) struct Sender {
    pub(crate) broker: Broker,
    replies: amends_broker::Consumer,
}

/// By effect: the bytes of its final reply.
pub(crate) type Replies = BTreeMap<EffectId, Bytes>;

impl Sender {
    pub(crate) async fn connect(url: &str) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let config =
            serde_json::from_value(json!({ "url": url, "stream_missing_patience_ms": 100 })).unwrap();
        let broker = Broker::connect(&config, "sender").await.unwrap();
        broker.connected().await;
        broker.reconcile().await.unwrap();
        let replies = broker.consumer(ConsumerSpec {
            stream: Stream::Reply,
            durable: format!("sender-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
            filter: broker.names().all(Stream::Reply),
            start: Start::Beginning,
            batch_count_max: 256,
        });
        Self { broker, replies }
    }

    /// Sends commands, each sending under a new number.
    pub(crate) async fn send<'a>(&self, commands: impl IntoIterator<Item = &'a Command>, send_no: u32) {
        let message = |command: &Command| {
            let command = Command { send_no, ..command.clone() };
            let names = self.broker.names();
            Outgoing {
                subject: names.command(&command.address.participant, &command.address.command),
                body: Bytes::from(command.to_envelope().encode()),
                message_id: Some(command.effect.message_id(send_no)),
                content_type: CONTENT_TYPE,
                traceparent: None,
                ack: Ack::Own,
            }
        };
        self.broker.publisher().publish(commands.into_iter().map(message).collect()).await;
    }

    /// Sends until every command has its final reply. Every reply to one effect must be the same.
    pub(crate) async fn settle(&mut self, commands: &[Command]) -> Replies {
        let mut known = Replies::new();
        for round in 1..=ROUNDS_MAX {
            let open = commands.iter().filter(|command| !known.contains_key(&command.effect));
            self.send(open, round).await;
            while self.read(&mut known).await {}
            if commands.iter().all(|command| known.contains_key(&command.effect)) {
                return known;
            }
        }
        panic!("{} of {} commands were answered", known.len(), commands.len());
    }

    /// Reads replies for a while; whether there were any.
    async fn read(&mut self, known: &mut Replies) -> bool {
        let patience = CancellationToken::new();
        let deliveries = tokio::select! {
            deliveries = self.replies.next(&patience) => deliveries.unwrap_or_default(),
            () = tokio::time::sleep(RESEND_AFTER) => return false,
        };
        for delivery in deliveries {
            let reply = read(&delivery.body);
            if reply.outcome.is_final() {
                let first = known.entry(reply.effect).or_insert_with(|| delivery.body.clone());
                assert_eq!(*first, delivery.body, "a recorded reply is the same for ever");
            }
            delivery.ack();
        }
        true
    }
}

pub(crate) fn read(body: &[u8]) -> Reply {
    Reply::from_envelope(Envelope::decode(body).unwrap()).unwrap()
}

pub(crate) fn outcome(replies: &Replies, effect: &EffectId) -> Outcome {
    read(&replies[effect]).outcome
}
