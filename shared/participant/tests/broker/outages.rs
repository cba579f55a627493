//! The broker is killed and loses everything it stored: commands and events are only delayed.

use std::{collections::BTreeSet, time::Duration};

use amends_broker::{Broker, ConsumerSpec, Start, Stream};
use amends_contract::{Command, DeadLetter, Envelope, Outcome, Timestamp};
use amends_participant::{
    Config, Database, Pools,
    testing::{command, saga_at},
};
use bytes::Bytes;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::{
    child::{config, participant_of},
    sender::{Sender, outcome},
    server::Server,
};

fn actions(numbers: std::ops::Range<u64>, name: &str) -> Vec<Command> {
    let made_at = Timestamp::from_unix_ms(4_102_444_800_000);
    numbers.map(|number| command(saga_at(made_at, number), "step", name, json!({ "n": number }))).collect()
}

/// A participant in this process; it ends with the test.
async fn run(server: &Server) -> tokio::task::JoinHandle<()> {
    let nats = json!({ "url": server.url(), "stream_missing_patience_ms": 100, "watch_interval_ms": 200 });
    let broker = Broker::connect(&serde_json::from_value(nats).unwrap(), "test").await.unwrap();
    let url = format!("sqlite://{}/test.db", server.folder().display());
    let db = Database::connect(&url, &Pools::default()).await.unwrap();
    let participant = participant_of("test", server.folder());
    let config = Config { event_interval_ms: 20, event_watch_ms: 100, event_lease_ms: 200, ..config() };
    tokio::spawn(async move {
        participant.run(db, broker, config, CancellationToken::new()).await.unwrap();
    })
}

/// All messages of a stream, as soon as there are so many different ones.
async fn bodies(broker: &Broker, stream: Stream, filter: String, count: usize) -> BTreeSet<Bytes> {
    let durable = format!("reader-{count}-{}", filter.replace(['.', '>'], "-"));
    let spec = ConsumerSpec { stream, durable, filter, start: Start::Beginning, batch_count_max: 256 };
    let mut consumer = broker.consumer(spec);
    let mut bodies = BTreeSet::new();
    let reading = async {
        while bodies.len() < count {
            let deliveries = consumer.next(&CancellationToken::new()).await.unwrap();
            bodies.extend(deliveries.iter().map(|delivery| delivery.body.clone()));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("they come");
    bodies
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_once_and_for_all() {
    let server = Server::start();
    let running = run(&server).await;
    let mut sender = Sender::connect(&server.url()).await;
    let actions = actions(1..101, "test.do");
    let first = sender.settle(&actions).await;
    for action in &actions {
        assert!(matches!(outcome(&first, &action.effect), Outcome::Succeeded { .. }));
    }
    // Sent once more: the very same answers, though the broker has seen their ids.
    let again: Vec<_> = actions.iter().map(|action| Command { send_no: 7, ..action.clone() }).collect();
    assert_eq!(sender.settle(&again).await, first);
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_loses_everything_only_delays() {
    let mut server = Server::start();
    let running = run(&server).await;
    let mut sender = Sender::connect(&server.url()).await;
    let (before, after) = (actions(1..41, "test.do"), actions(41..81, "test.do"));
    let first = sender.settle(&before).await;
    let events = |sender: &Sender| sender.broker.names().all(Stream::Event);
    let published = bodies(&sender.broker, Stream::Event, events(&sender), 40).await;

    server.kill();
    server.wipe();
    server.resume();
    // The old ones, whose replies are lost, and new ones.
    let all: Vec<_> = before.iter().chain(&after).cloned().collect();
    let second = sender.settle(&all).await;
    for (effect, body) in &first {
        assert_eq!(&second[effect], body, "byte for byte, whatever was lost");
    }
    let published_again = bodies(&sender.broker, Stream::Event, events(&sender), 80).await;
    assert!(published_again.is_superset(&published), "the events of before are there again");
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_set_aside() {
    let server = Server::start();
    let running = run(&server).await;
    let mut sender = Sender::connect(&server.url()).await;
    let garbage = |text: &str| amends_broker::Outgoing {
        subject: "amends.cmd.test.do".to_owned(),
        body: Bytes::copy_from_slice(text.as_bytes()),
        message_id: None,
        content_type: "text/plain",
        traceparent: None,
        ack: amends_broker::Ack::Own,
    };
    // As large as the broker takes.
    let large = "x".repeat(1024 * 1024 - 200);
    let sent =
        sender.broker.publisher().publish(vec![garbage("garbage"), garbage(&large), garbage("{}")]).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    sender.settle(&actions(1..11, "test.do")).await;
    let dead = bodies(&sender.broker, Stream::Dead, sender.broker.names().all(Stream::Dead), 3).await;
    let mut letters: Vec<_> = dead
        .iter()
        .map(|body| DeadLetter::from_envelope(Envelope::decode(body).unwrap()).unwrap())
        .map(|letter| (letter.stream_seq, letter.reason.code, letter.body_bytes))
        .collect();
    letters.sort();
    let expected = [(1, "not-json", 7), (2, "not-json", large.len()), (3, "not-an-envelope", 2)];
    assert_eq!(letters, expected.map(|(seq, code, bytes)| (seq, code.to_owned(), bytes)));
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_finishes_what_has_begun() {
    let server = Server::start();
    let nats = serde_json::from_value(json!({ "url": server.url() })).unwrap();
    let broker = Broker::connect(&nats, "test").await.unwrap();
    let url = format!("sqlite://{}/test.db", server.folder().display());
    let db = Database::connect(&url, &Pools::default()).await.unwrap();
    let shutdown = CancellationToken::new();
    let participant = participant_of("test", server.folder());
    let running = tokio::spawn(participant.run(db.clone(), broker, config(), shutdown.clone()));
    let mut sender = Sender::connect(&server.url()).await;
    sender.settle(&actions(1..6, "test.call")).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    db.close().await;
    Database::connect(&url, &Pools::default()).await.expect("nothing of it is left");
}
