//! A durable consumer as an endless source of batches.
//!
//! The broker restarts, is killed, loses its store; somebody deletes or purges consumer or stream: the
//! source pauses, restores what is missing and goes on. What was handed out and not acknowledged comes
//! again, and so may what was acknowledged.
//!
//! Invariant: `next` ends only by its shutdown token, and never while it holds messages.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use amends_contract::{Stream, Timestamp};
use async_nats::{
    Message,
    jetstream::{
        ErrorCode,
        consumer::{self, PullConsumer, pull},
        message::StreamMessage,
        stream::ConsumerErrorKind,
    },
};
use futures::future::BoxFuture;
use metrics::{Counter, counter};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Broker, Delivery, Error, ProblemKind,
    broker::Core,
    config::ms,
    health::now,
    jitter, meter,
    pull::{Pull, Trouble},
    topology::{consumer_differences, wanted_consumer},
    unreadable::unreadable,
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
    source: Source,
    /// Arrived and not handed out yet.
    held: VecDeque<Delivery>,
    incarnation: Incarnation,
    /// The server that the connection was lost to last. If it still runs, it was not the reason.
    lost_server: Option<String>,
    failures: u32,
    delivered: Counter,
    redelivered: Counter,
}

enum Source {
    Closed,
    /// Kept here, so that it gets on however often the caller drops the future of `next`.
    Opening(BoxFuture<'static, Result<Opened, Error>>),
    Open(Box<Pull>),
}

struct Opened {
    pull: Box<Pull>,
    info: consumer::Info,
    unreadable: Vec<StreamMessage>,
}

/// The broker's consumer as we know it: one that was created again is another one.
struct Incarnation {
    created_at: Option<Timestamp>,
    gone: Arc<AtomicBool>,
    opened_at: Instant,
}

impl Consumer {
    pub(crate) fn new(broker: Broker, spec: ConsumerSpec) -> Self {
        Self {
            source: Source::Closed,
            held: VecDeque::new(),
            incarnation: Incarnation { created_at: None, gone: Arc::default(), opened_at: Instant::now() },
            lost_server: None,
            failures: 0,
            delivered: counter!(meter::DELIVERED, "consumer" => spec.durable.clone()),
            redelivered: counter!(meter::REDELIVERED, "consumer" => spec.durable.clone()),
            broker,
            spec,
        }
    }

    /// Waits for messages, and returns all that are there, 1 to `batch_count_max`. `None` once
    /// `shutdown` is cancelled; what had arrived by then is sent back, so that others get it soon.
    ///
    /// Cancel safe: dropping the future loses no message.
    pub async fn next(&mut self, shutdown: &CancellationToken) -> Option<Vec<Delivery>> {
        while self.held.is_empty() && !shutdown.is_cancelled() {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.step() => {}
            }
        }
        if shutdown.is_cancelled() {
            self.hand_back().await;
            return None;
        }
        let count = self.held.len().min(self.batch_count_max());
        Some(self.held.drain(..count).collect())
    }

    /// Gets on by one: opens the source, or takes what is there.
    async fn step(&mut self) {
        match &mut self.source {
            Source::Closed => self.source = Source::Opening(self.opening()),
            Source::Opening(opening) => {
                let outcome = opening.await;
                self.opened(outcome);
            }
            Source::Open(pull) => {
                let first = pull.next().await;
                self.sort_in(first);
                self.take_arrived(self.batch_count_max());
            }
        }
    }

    /// Takes what has already arrived, without waiting, until `count_max` are held.
    fn take_arrived(&mut self, count_max: usize) {
        while self.held.len() < count_max
            && let Source::Open(pull) = &mut self.source
            && let Some(arrival) = pull.arrived()
        {
            self.sort_in(arrival);
        }
    }

    fn sort_in(&mut self, arrival: Result<Message, Trouble>) {
        match arrival {
            Ok(message) => self.hold(message),
            Err(trouble) => {
                self.give_up(&trouble);
                self.broker.core.topology.hint();
            }
        }
    }

    fn hold(&mut self, message: Message) {
        match Delivery::read(message, &self.broker.core.acks, &self.incarnation.gone) {
            Some(delivery) => {
                self.failures = 0;
                self.delivered.increment(1);
                if delivery.is_redelivery() {
                    self.redelivered.increment(1);
                }
                self.held.push_back(delivery);
            }
            None => {
                tracing::warn!(consumer = self.spec.durable, "ignored a message without a stream's address")
            }
        }
    }

    /// The source is not trusted any more and will be opened again; what it still holds is taken along.
    fn give_up(&mut self, trouble: &Trouble) {
        /// Times in a row that a consumer may end before people are told: an operator's deletion, a
        /// change of leader and a restart are no problem.
        const QUIET: u32 = 3;
        tracing::debug!(consumer = self.spec.durable, %trouble, "the consumer will be opened again");
        let Source::Open(mut pull) = std::mem::replace(&mut self.source, Source::Closed) else { return };
        while let Some(arrival) = pull.arrived() {
            if let Ok(message) = arrival {
                self.hold(message);
            }
        }
        // One that held for longer than missed heartbeats take to be noticed was in order.
        let trusted = ms(self.broker.core.config.idle_heartbeat_ms.saturating_mul(3));
        let held_out = self.incarnation.opened_at.elapsed() > trusted;
        self.failures = if held_out { 1 } else { self.failures.saturating_add(1) };
        match trouble {
            Trouble::Connection => {
                self.lost_server = Some(self.broker.core.link().client.server_info().server_id);
            }
            Trouble::Consumer(text) if self.failures > QUIET => {
                self.note(&format!("does not stay open: {text}"))
            }
            Trouble::Consumer(_) => {}
        }
    }

    fn note(&self, text: &str) {
        let text = format!("{} {text}", self.title());
        self.broker.core.monitor.note(ProblemKind::Consumer, &text);
    }

    /// How its problems begin.
    fn title(&self) -> String {
        format!("consumer {} on {}", self.spec.durable, self.broker.names().stream(self.spec.stream))
    }

    /// Sends back everything that arrived and was not handed out: without this it would come again only
    /// after `ack_wait_ms`.
    async fn hand_back(&mut self) {
        if matches!(self.source, Source::Open(_)) {
            // We ask for nothing more; after one trip to the server and back, what we asked for is here.
            self.broker.core.round_trip().await;
        }
        self.hand_back_arrived();
    }

    fn hand_back_arrived(&mut self) {
        self.take_arrived(usize::MAX);
        self.held.drain(..).for_each(|delivery| delivery.nak_after(0));
        self.source = Source::Closed;
    }

    fn opening(&self) -> BoxFuture<'static, Result<Opened, Error>> {
        let (broker, spec, failures) = (self.broker.clone(), self.spec.clone(), self.failures);
        let lost_server = self.lost_server.clone();
        Box::pin(async move {
            if failures > 0 {
                sleep(jitter::backoff(failures, broker.core.config.reopen_delay_max_ms)).await;
            }
            broker.core.connected().await;
            open(&broker.core, &spec, lost_server).await
        })
    }

    fn opened(&mut self, outcome: Result<Opened, Error>) {
        match outcome {
            Ok(Opened { pull, info, unreadable }) => {
                counter!(meter::OPENED, "consumer" => self.spec.durable.clone()).increment(1);
                self.incarnation.be(info.created.into());
                self.lost_server = None;
                self.broker.core.monitor.over(ProblemKind::Consumer, &self.title());
                let gone = &self.incarnation.gone;
                let looked_up = |message| Delivery::looked_up(message, &self.broker.core, &info, gone);
                self.held.extend(unreadable.into_iter().map(looked_up));
                self.source = Source::Open(pull);
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.source = Source::Closed;
                self.note(&format!("cannot be opened: {error}"));
            }
        }
    }

    fn batch_count_max(&self) -> usize {
        self.spec.batch_count_max.max(1)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.hand_back_arrived();
    }
}

impl Incarnation {
    /// Answers to deliveries of an earlier consumer of this name must not reach this one.
    fn be(&mut self, created_at: Timestamp) {
        if self.created_at.replace(created_at).is_some_and(|before| before != created_at) {
            self.gone.store(true, Ordering::Release);
            self.gone = Arc::default();
        }
        self.opened_at = Instant::now();
    }
}

/// Makes sure that stream and consumer exist, and starts pulling.
async fn open(core: &Core, spec: &ConsumerSpec, lost_server: Option<String>) -> Result<Opened, Error> {
    let connection = core.monitor.connection();
    let losses = connection.borrow().losses;
    let wanted = wanted_consumer(&core.config, spec, now());
    let info = match core.consumer_info(spec.stream, &spec.durable).await? {
        Some(info) => info,
        None => {
            core.reconcile().await?;
            create(core, spec, &wanted).await?
        }
    };
    let differences = consumer_differences(&info.stream_name, &wanted, &info.config);
    core.topology.note_differences(&format!("{} {}", info.stream_name, info.name), differences);
    let link = core.link();
    let unreadable = match lost_server {
        Some(server) if server == link.client.server_info().server_id => {
            unreadable(core, spec, &info).await?
        }
        _ => Vec::new(),
    };
    let consumer = PullConsumer::new(wanted, info.clone(), link.jetstream.clone());
    let pull = Pull::open(core, consumer, spec.batch_count_max, connection, losses).await?;
    Ok(Opened { pull: Box::new(pull), info, unreadable })
}

async fn create(core: &Core, spec: &ConsumerSpec, wanted: &pull::Config) -> Result<consumer::Info, Error> {
    let stream = core.names.stream(spec.stream);
    match core.link().jetstream.create_consumer_on_stream(wanted.clone(), &stream).await {
        Ok(consumer) => {
            tracing::info!(stream, consumer = spec.durable, "consumer created");
            Ok(consumer.cached_info().clone())
        }
        // Another process was faster, with another start time: then it is there now.
        Err(error) => match core.consumer_info(spec.stream, &spec.durable).await? {
            Some(info) => Ok(info),
            None => Err(match error.kind() {
                ConsumerErrorKind::JetStream(error) => Error::answered(&error),
                ConsumerErrorKind::TimedOut => Error::TimedOut(core.config.request_timeout_ms),
                _ => Error::Answer(error.to_string()),
            }),
        },
    }
}

impl Core {
    /// The consumer as the broker describes it; `None` when it, or its stream, does not exist.
    pub(crate) async fn consumer_info(
        &self,
        stream: Stream,
        durable: &str,
    ) -> Result<Option<consumer::Info>, Error> {
        let missing = [ErrorCode::CONSUMER_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
        match self.ask(format!("CONSUMER.INFO.{}.{durable}", self.names.stream(stream)), &json!({})).await {
            Ok(info) => Ok(Some(info)),
            Err(error) if missing.iter().any(|code| error.is(*code)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
