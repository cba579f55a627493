//! Publishing: order, results, duplicates, bad messages beside good ones, outages.

use amends_broker::{Ack, Config, Outgoing, PublishError, Stored, Stream, admin};
use bytes::Bytes;
use futures::{FutureExt as _, future::join_all};

use crate::{
    fixture::{self, config, connect, eventually, message, messages, ready},
    server::Server,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_numbers_come_in_the_order_of_the_batch() {
    let server = Server::start();
    // Far fewer permits than messages: the batch has to get through in pieces.
    let broker = ready(&Config { outstanding_max: 7, ..config(&server) }).await;
    let results = broker.publisher().publish(messages(1..501)).await;
    let expected: Vec<_> = (1..501).map(|seq| Ok(Stored { seq, duplicate: false })).collect();
    assert_eq!(results, expected);
    for seq in [1, 250, 500] {
        let stored = broker.message(Stream::Command, seq).await.unwrap().unwrap();
        assert_eq!(stored.body, seq.to_string().as_bytes());
    }
    assert_eq!(broker.publisher().publish(Vec::new()).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_at_the_same_time_share_the_permits() {
    let server = Server::start();
    let broker = ready(&Config { outstanding_max: 3, ..config(&server) }).await;
    let publishers: Vec<_> = (0..8).map(|_| broker.publisher()).collect();
    let all = join_all(publishers.iter().map(|publisher| publisher.publish(messages(0..50)))).await;
    let mut numbers: Vec<u64> = all.into_iter().flatten().map(|result| result.unwrap().seq).collect();
    assert!(numbers.chunks(50).all(<[u64]>::is_sorted), "each batch keeps its order");
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_abandoned_batch_gives_its_permits_back() {
    let server = Server::start();
    let broker = ready(&Config { outstanding_max: 4, ..config(&server) }).await;
    let publisher = broker.publisher();
    for _ in 0..20 {
        assert!(publisher.publish(messages(0..4)).now_or_never().is_none(), "polled once, then dropped");
    }
    let results = publisher.publish(messages(0..40)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

/// The same, to be acknowledged together.
fn shared(bodies: std::ops::Range<u64>) -> Vec<Outgoing> {
    messages(bodies).into_iter().map(|message| Outgoing { ack: Ack::Shared, ..message }).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_acknowledgement_stands_for_several_messages() {
    let server = Server::start();
    let broker = ready(&Config { outstanding_max: 7, publish_group_max: 5, ..config(&server) }).await;
    let results = broker.publisher().publish(shared(1..24)).await;
    // Of each five the last one's, and the last of all.
    let seqs: Vec<u64> = results.into_iter().map(|result| result.unwrap().seq).collect();
    let expected: Vec<u64> = (1..24_u64).map(|seq| (seq.div_ceil(5) * 5).min(23)).collect();
    assert_eq!(seqs, expected);
    for seq in 1..24_u64 {
        let stored = broker.message(Stream::Command, seq).await.unwrap().unwrap();
        assert_eq!(stored.body, seq.to_string().as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishers_at_the_same_time_do_not_wait_for_each_others_groups() {
    let server = Server::start();
    // Each group takes all that there is.
    let broker = ready(&Config { outstanding_max: 5, publish_group_max: 100, ..config(&server) }).await;
    let publishers: Vec<_> = (0..8).map(|_| broker.publisher()).collect();
    let all = join_all(publishers.iter().map(|publisher| publisher.publish(shared(0..52)))).await;
    assert!(all.into_iter().flatten().all(|result| result.is_ok()));
    let last = broker.stream_position(Stream::Command).await.unwrap().unwrap().last_seq;
    assert_eq!(last, 8 * 52);
    for _ in 0..20 {
        assert!(publishers[0].publish(shared(0..9)).now_or_never().is_none(), "polled once, then dropped");
    }
    assert!(publishers[0].publish(shared(0..52)).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn bad_messages_harm_none_of_those_they_are_acknowledged_with() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let bad = |text: &str| Outgoing { traceparent: Some(text.to_owned()), ack: Ack::Shared, ..message("x") };
    let mut batch = shared(0..3);
    batch.insert(1, bad("two\r\nlines"));
    batch.push(Outgoing { ack: Ack::Own, ..message("own") });
    batch.push(bad("more\r\nlines"));
    let results = broker.publisher().publish(batch).await;
    let seqs: Vec<_> = results.iter().map(|result| result.as_ref().ok().map(|stored| stored.seq)).collect();
    assert_eq!(seqs, [Some(3), None, Some(3), Some(3), Some(4), None], "{results:?}");
}

#[tokio::test]
async fn where_no_stream_takes_the_last_of_a_group_all_of_it_is_offered_again() {
    let server = Server::start();
    let broker = ready(&Config { watch_interval_ms: 3_600_000, ..config(&server) }).await;
    assert!(admin::delete_stream(&broker, Stream::Command).await.unwrap());
    let results = broker.publisher().publish(shared(0..10)).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let last = broker.stream_position(Stream::Command).await.unwrap().unwrap().last_seq;
    assert_eq!(last, 10);
}

#[tokio::test]
async fn a_known_message_id_is_a_duplicate() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let with_id = |id: &str| Outgoing { message_id: Some(id.to_owned()), ..message("x") };
    let batch = vec![with_id("a/1"), with_id("a/1"), message("x"), message("x"), with_id("a/2")];
    let results = broker.publisher().publish(batch).await;
    let seqs: Vec<_> = results.into_iter().map(|result| result.map(|s| (s.seq, s.duplicate))).collect();
    assert_eq!(seqs, [Ok((1, false)), Ok((1, true)), Ok((2, false)), Ok((3, false)), Ok((4, false))]);
}

#[tokio::test]
async fn bad_messages_harm_no_neighbour() {
    let server = Server::configured("max_payload: 65536\njetstream: { store_dir: \"STORE\" }");
    let broker = ready(&config(&server)).await;
    let large = |bytes: usize| Outgoing { body: Bytes::from(vec![b'x'; bytes]), ..message("") };
    let batch = vec![
        message("before"),
        large(65_537),
        // Headers count: this one only seems to fit.
        large(65_536),
        Outgoing { subject: "no subject".to_owned(), ..message("") },
        Outgoing { traceparent: Some("two\r\nlines".to_owned()), ..message("") },
        large(65_000),
        message("after"),
    ];
    let results = broker.publisher().publish(batch).await;
    let outcome = |result: &Result<Stored, PublishError>| match result {
        Ok(stored) => format!("stored {}", stored.seq),
        Err(error) => format!("{} {}", error.kind(), error.is_transient()),
    };
    assert_eq!(
        results.iter().map(outcome).collect::<Vec<_>>(),
        [
            "stored 1",
            "too-large false",
            "too-large false",
            "invalid false",
            "invalid false",
            "stored 2",
            "stored 3"
        ]
    );
    assert!(matches!(results[1], Err(PublishError::TooLarge { bytes, bytes_max: 65_536 }) if bytes > 65_537));
    assert_eq!(broker.health().not_ready(), None, "a bad message is not the broker's trouble");
}

#[tokio::test]
async fn a_broker_that_is_down_is_unavailable_and_then_at_once() {
    let mut server = Server::stopped();
    let patient = Config { publish_timeout_ms: 300, ..config(&server) };
    let broker = connect(&patient).await;
    let publisher = broker.publisher();
    let first = publisher.publish(messages(0..3)).await;
    assert!(first.iter().all(|result| matches!(result, Err(PublishError::Unavailable(_)))), "{first:?}");
    // The connection has been missing for longer than the timeout: no batch waits for it any more.
    let at_once = publisher.publish(messages(0..3)).now_or_never().expect("an answer without waiting");
    assert_eq!(at_once, first);
    assert!(broker.health().not_ready().unwrap().starts_with("not connected to the broker"));

    server.resume();
    fixture::publish_stubbornly(&broker, 0..3).await;
    assert_eq!(broker.health().not_ready(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_outage_is_waited_out() {
    let mut server = Server::start();
    let broker = ready(&Config { publish_timeout_ms: 30_000, ..config(&server) }).await;
    server.kill();
    eventually("the lost connection", async || (!broker.health().connected).then_some(())).await;
    let publisher = broker.publisher();
    let publishing = tokio::spawn(async move { publisher.publish(messages(0..100)).await });
    server.resume();
    let results = publishing.await.unwrap();
    assert!(results.iter().all(Result::is_ok), "{results:?}");
}

#[tokio::test]
async fn a_missing_stream_is_made_and_the_message_stored() {
    let server = Server::start();
    // No look without a reason: the publisher has to give it.
    let broker = ready(&Config { watch_interval_ms: 3_600_000, ..config(&server) }).await;
    assert!(admin::delete_stream(&broker, Stream::Event).await.unwrap());
    let event = Outgoing { subject: "amends.event.order.created".to_owned(), ..message("x") };
    let results = broker.publisher().publish(vec![event]).await;
    assert_eq!(results, [Ok(Stored { seq: 1, duplicate: false })]);
}

#[tokio::test]
async fn a_refusal_keeps_its_code() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    // Somebody has limited the stream by hand.
    let client = async_nats::connect(server.url()).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut stream = jetstream.get_stream("AMENDS_CMD").await.unwrap().cached_info().config.clone();
    stream.max_message_size = 64;
    jetstream.update_stream(&stream).await.unwrap();
    let results = broker.publisher().publish(vec![message(&"x".repeat(65)), message("short")]).await;
    assert!(matches!(results[0], Err(PublishError::Refused { code: 10_054, .. })), "{results:?}");
    assert!(results[1].is_ok(), "{results:?}");
}
