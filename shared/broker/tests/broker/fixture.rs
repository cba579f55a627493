//! What every test needs: a quick configuration, messages, and waiting for a condition.

use std::{collections::BTreeSet, time::Duration};

use amends_broker::{Ack, Broker, Config, Consumer, ConsumerSpec, Delivery, Outgoing, Start, Stream};
use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::server::Server;

/// Longest wait for anything. Reaching it is a failure, so it is far longer than anything takes.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn config(server: &Server) -> Config {
    Config {
        url: server.url().into(),
        reconnect_delay_max_ms: 50,
        request_timeout_ms: 3_000,
        idle_heartbeat_ms: 500,
        pull_expires_ms: 3_000,
        reopen_delay_max_ms: 100,
        stream_missing_patience_ms: 100,
        watch_interval_ms: 500,
        ..Config::default()
    }
}

pub(crate) async fn connect(config: &Config) -> Broker {
    Broker::connect(config, "test").await.unwrap()
}

/// Connected, and all streams are there.
pub(crate) async fn ready(config: &Config) -> Broker {
    let broker = connect(config).await;
    eventually("the streams", async || broker.probe().await.ok()).await;
    broker
}

pub(crate) const SUBJECT: &str = "amends.cmd.inventory.reserve-stock";

pub(crate) fn message(body: &str) -> Outgoing {
    Outgoing {
        subject: SUBJECT.to_owned(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        message_id: None,
        content_type: "text/plain",
        traceparent: None,
        ack: Ack::Own,
    }
}

pub(crate) fn messages(range: std::ops::Range<u64>) -> Vec<Outgoing> {
    range.map(|number| message(&number.to_string())).collect()
}

/// Publishes, and insists that all of it is stored.
pub(crate) async fn publish(broker: &Broker, range: std::ops::Range<u64>) {
    for result in broker.publisher().publish(messages(range)).await {
        result.unwrap();
    }
}

/// Publishes until all of it is stored, whatever happens to the broker meanwhile.
pub(crate) async fn publish_stubbornly(broker: &Broker, range: std::ops::Range<u64>) {
    let mut open = messages(range);
    let publisher = broker.publisher();
    let deadline = Instant::now() + LIMIT;
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "waited in vain for {} messages to be stored", open.len());
        let results = publisher.publish(open.clone()).await;
        let mut stored = results.iter().map(Result::is_ok);
        open.retain(|_| !stored.next().unwrap());
        // A broker that is known to be down is refused at once.
        broker.connected().await;
    }
}

pub(crate) fn spec(durable: &str) -> ConsumerSpec {
    ConsumerSpec {
        stream: Stream::Command,
        durable: durable.to_owned(),
        filter: "amends.cmd.inventory.>".to_owned(),
        start: Start::MinutesBack(10),
        batch_count_max: 64,
    }
}

pub(crate) async fn next(consumer: &mut Consumer) -> Vec<Delivery> {
    let never = CancellationToken::new();
    timeout(LIMIT, consumer.next(&never)).await.expect("a batch in time").expect("no shutdown")
}

pub(crate) fn text(delivery: &Delivery) -> String {
    String::from_utf8(delivery.body.to_vec()).unwrap()
}

/// Consumes and acknowledges until every number of the range has come, in whatever order.
pub(crate) async fn consume(consumer: &mut Consumer, range: std::ops::Range<u64>) -> Vec<Delivery> {
    let mut missing: BTreeSet<String> = range.map(|number| number.to_string()).collect();
    let mut all = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "still missing: {missing:?}");
        for delivery in next(consumer).await {
            missing.remove(&text(&delivery));
            delivery.ack();
            all.push(delivery);
        }
    }
    all
}

/// Waits until the broker has taken all acknowledgements of the consumer.
pub(crate) async fn all_acked(broker: &Broker, durable: &str) {
    eventually("all acknowledged", async || {
        let status = broker.consumer_status(Stream::Command, durable).await.ok()??;
        (status.ack_pending == 0 && status.pending == 0).then_some(())
    })
    .await;
}

/// Waits for the next count of topology changes.
pub(crate) async fn changed(changes: &mut watch::Receiver<u64>) {
    timeout(LIMIT, changes.changed()).await.expect("a change in time").unwrap();
}

/// Asks until there is an answer.
pub(crate) async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
