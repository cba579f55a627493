//! A durable consumer as an endless source of batches.
//!
//! The broker restarts, is killed, loses its store; somebody deletes or purges consumer or stream: the
//! source pauses, restores what is missing and goes on. What was handed out and not acknowledged comes
//! again, and so may what was acknowledged.
//!
//! Invariant: `next` ends only by its shutdown token, and never while it holds messages.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use amends_contract::{Stream, Timestamp};
use async_nats::jetstream::{
    ErrorCode,
    consumer::{self, PullConsumer, pull},
    stream::ConsumerErrorKind,
};
use futures::{FutureExt as _, StreamExt as _};
use metrics::{Counter, counter};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Broker, Delivery, Error, ProblemKind,
    config::ms,
    health::now,
    jitter, meter,
    topology::{consumer_differences, wanted_consumer},
};

/// Which messages, and by what name the broker remembers how far we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerSpec {
    /// The stream.
    pub stream: Stream,
    /// Name of the durable consumer. All processes of a service share it, and with it the messages.
    pub durable: String,
    /// Subject, with wildcards, of the messages wanted.
    pub filter: String,
    /// Where the consumer starts if it has to be created.
    pub start: Start,
    /// Most messages in one batch.
    pub batch_count_max: usize,
}

/// Where a new consumer starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With what was stored that many minutes ago; at most `start_back_max_min`. For commands and
    /// replies: what is older and still wanted is sent again by a timer.
    MinutesBack(u64),
    /// With the first message of the stream. For events.
    Beginning,
}

/// An endless source of batches.
pub struct Consumer {
    broker: Broker,
    spec: ConsumerSpec,
    open: Option<Box<pull::Stream>>,
    incarnation: Incarnation,
    opened_at: Instant,
    failures: u32,
    delivered: Counter,
    redelivered: Counter,
}

/// The broker's consumer as we know it: one that was created again is another one.
struct Incarnation {
    created_at: Option<Timestamp>,
    gone: Arc<AtomicBool>,
}

impl Consumer {
    pub(crate) fn new(broker: Broker, spec: ConsumerSpec) -> Self {
        let delivered = counter!(meter::DELIVERED, "consumer" => spec.durable.clone());
        let redelivered = counter!(meter::REDELIVERED, "consumer" => spec.durable.clone());
        let incarnation = Incarnation { created_at: None, gone: Arc::default() };
        Self {
            broker,
            spec,
            open: None,
            incarnation,
            opened_at: Instant::now(),
            failures: 0,
            delivered,
            redelivered,
        }
    }

    /// Waits for messages, and returns all that are there, 1 to `batch_count_max`. `None` once
    /// `shutdown` is cancelled; what had arrived by then is sent back, so that others get it soon.
    ///
    /// Cancel safe: dropping the future loses no message.
    pub async fn next(&mut self, shutdown: &CancellationToken) -> Option<Vec<Delivery>> {
        loop {
            let batch = tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    self.hand_back();
                    return None;
                }
                batch = self.take() => batch,
            };
            if !batch.is_empty() {
                return Some(batch);
            }
        }
    }

    /// One step: opens the source, or takes what is there. May come back with nothing.
    async fn take(&mut self) -> Vec<Delivery> {
        let Some(messages) = self.open.as_mut() else {
            self.reopen().await;
            return Vec::new();
        };
        let first = messages.next().await;
        let trouble = !matches!(first, Some(Ok(_)));
        let mut batch = Vec::new();
        match first {
            Some(Ok(message)) => {
                self.failures = 0;
                self.push(&mut batch, message);
            }
            Some(Err(error)) => self.note(&error.to_string()),
            None => self.note("the broker ended the deliveries"),
        }
        self.drain(&mut batch);
        if trouble {
            // What had arrived before the trouble is taken along; the source itself is not trusted again.
            self.open = None;
        }
        batch
    }

    /// Adds what has already arrived, without waiting.
    fn drain(&mut self, batch: &mut Vec<Delivery>) {
        while batch.len() < self.spec.batch_count_max
            && let Some(messages) = self.open.as_mut()
        {
            match messages.next().now_or_never() {
                Some(Some(Ok(message))) => self.push(batch, message),
                Some(Some(Err(error))) => {
                    self.note(&error.to_string());
                    self.open = None;
                }
                Some(None) => self.open = None,
                None => break,
            }
        }
    }

    fn push(&self, batch: &mut Vec<Delivery>, message: async_nats::jetstream::Message) {
        match Delivery::read(message, &self.broker.core.acks, &self.incarnation.gone) {
            Some(delivery) => {
                self.delivered.increment(1);
                if delivery.is_redelivery() {
                    self.redelivered.increment(1);
                }
                batch.push(delivery);
            }
            None => {
                tracing::warn!(consumer = self.spec.durable, "ignored a message that comes from no stream")
            }
        }
    }

    /// Sends everything that arrived and was not handed out back: without this it would come again only
    /// after `ack_wait_ms`.
    fn hand_back(&mut self) {
        loop {
            let mut batch = Vec::new();
            self.drain(&mut batch);
            if batch.is_empty() {
                break;
            }
            batch.iter().for_each(|delivery| delivery.nak_after(0));
        }
        self.open = None;
    }

    async fn reopen(&mut self) {
        // One that held for longer than missed heartbeats take to be noticed was in order.
        if self.opened_at.elapsed() > ms(self.broker.core.config.idle_heartbeat_ms.saturating_mul(3)) {
            self.failures = 0;
        }
        if self.failures > 0 {
            sleep(jitter::backoff(self.failures, self.broker.core.config.reopen_delay_max_ms)).await;
        }
        self.broker.core.connected().await;
        match self.try_open().await {
            Ok(messages) => {
                counter!(meter::OPENED, "consumer" => self.spec.durable.clone()).increment(1);
                self.open = Some(Box::new(messages));
            }
            Err(error) => {
                let text = format!("consumer {} cannot be opened: {error}", self.spec.durable);
                self.broker.core.monitor.note(ProblemKind::Topology, &text);
            }
        }
        // Until a message or time proves it, being open means nothing.
        self.opened_at = Instant::now();
        self.failures = self.failures.saturating_add(1);
    }

    async fn try_open(&mut self) -> Result<pull::Stream, Error> {
        let broker = self.broker.clone();
        let core = &broker.core;
        let wanted = wanted_consumer(&core.config, &self.spec, now());
        let info = match self.info().await? {
            Some(info) => info,
            None => {
                core.reconcile().await?;
                self.create(&wanted).await?
            }
        };
        let differences = consumer_differences(&info.stream_name, &wanted, &info.config);
        core.topology.note_differences(&format!("{} {}", info.stream_name, info.name), differences);
        self.incarnate(info.created.into());
        PullConsumer::new(wanted, info, core.jetstream.clone())
            .stream()
            .max_messages_per_batch(self.spec.batch_count_max.max(1))
            .heartbeat(ms(core.config.idle_heartbeat_ms))
            .expires(ms(core.config.pull_expires_ms))
            .messages()
            .await
            .map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// The consumer as the broker describes it; `None` when it, or its stream, does not exist.
    async fn info(&self) -> Result<Option<consumer::Info>, Error> {
        self.broker.core.consumer_info(self.spec.stream, &self.spec.durable).await
    }

    async fn create(&self, wanted: &pull::Config) -> Result<consumer::Info, Error> {
        let core = &self.broker.core;
        let stream = core.names.stream(self.spec.stream);
        match core.jetstream.create_consumer_on_stream(wanted.clone(), &stream).await {
            Ok(consumer) => {
                tracing::info!(stream, consumer = self.spec.durable, "consumer created");
                Ok(consumer.cached_info().clone())
            }
            // Another process was faster, with another start time: then it is there now.
            Err(error) => match self.info().await? {
                Some(info) => Ok(info),
                None => Err(match error.kind() {
                    ConsumerErrorKind::JetStream(error) => Error::answered(&error),
                    ConsumerErrorKind::TimedOut => Error::TimedOut(core.config.request_timeout_ms),
                    _ => Error::Answer(error.to_string()),
                }),
            },
        }
    }

    /// Answers to deliveries of an earlier consumer of this name must not reach this one.
    fn incarnate(&mut self, created_at: Timestamp) {
        if self.incarnation.created_at.replace(created_at).is_some_and(|before| before != created_at) {
            self.incarnation.gone.store(true, Ordering::Release);
            self.incarnation.gone = Arc::default();
        }
    }

    fn note(&self, trouble: &str) {
        tracing::debug!(consumer = self.spec.durable, trouble, "the consumer will be opened again");
    }
}

impl crate::broker::Core {
    /// The consumer as the broker describes it; `None` when it, or its stream, does not exist.
    pub(crate) async fn consumer_info(
        &self,
        stream: Stream,
        durable: &str,
    ) -> Result<Option<consumer::Info>, Error> {
        let missing = [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
        match self.api(format!("CONSUMER.INFO.{}.{durable}", self.names.stream(stream)), &()).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if missing.iter().any(|code| error.is(*code)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
