//! Consuming: batches, acknowledgements, redelivery, sharing, where a consumer starts, shutdown.

use std::collections::BTreeSet;

use amends_broker::{Ack, Config, ConsumerSpec, Outgoing, Start, Stream};
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::{all_acked, config, consume, eventually, message, next, publish, ready, spec, text},
    server::Server,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_what_has_arrived_up_to_the_limit() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..300).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let mut seen = Vec::new();
    let mut sizes = BTreeSet::new();
    while seen.len() < 300 {
        let batch = next(&mut consumer).await;
        sizes.insert(batch.len());
        for delivery in batch {
            delivery.ack();
            assert_eq!((delivery.delivered, delivery.is_redelivery()), (1, false));
            assert_eq!(delivery.stream_seq, seen.len() as u64 + 1);
            seen.push(text(&delivery));
        }
    }
    assert_eq!(seen, (0..300).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(*sizes.last().unwrap() <= 64, "{sizes:?}");
    assert!(sizes.len() < 300, "messages that wait are taken together: {sizes:?}");
    all_acked(&broker, "inventory").await;
}

#[tokio::test]
async fn a_delivery_carries_what_was_published() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let outgoing = Outgoing {
        message_id: Some("id".to_owned()),
        traceparent: Some(traceparent.to_owned()),
        ack: Ack::Own,
        ..message("body")
    };
    broker.publisher().publish(vec![outgoing]).await.remove(0).unwrap();
    let delivery = next(&mut broker.consumer(spec("inventory"))).await.remove(0);
    assert_eq!(delivery.subject, "amends.cmd.inventory.reserve-stock");
    assert_eq!(delivery.body, "body");
    assert_eq!(delivery.traceparent(), Some(traceparent));
    let headers = delivery.headers();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        headers,
        [("Content-Type", "text/plain"), ("Nats-Msg-Id", "id"), ("traceparent", traceparent)]
    );
    let stored = broker.message(Stream::Command, delivery.stream_seq).await.unwrap().unwrap();
    assert_eq!(delivery.stored_at, stored.stored_at);
}

#[tokio::test]
async fn a_message_that_is_what_messages_are_has_no_headers() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let usual = Outgoing { content_type: amends_contract::CONTENT_TYPE, ..message("{}") };
    broker.publisher().publish(vec![usual]).await.remove(0).unwrap();
    let delivery = next(&mut broker.consumer(spec("inventory"))).await.remove(0);
    assert!(delivery.headers().is_empty(), "{:?}", delivery.headers());
    assert_eq!(delivery.body, "{}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_comes_again_and_everything_else_does() {
    let server = Server::start();
    let config = Config { ack_wait_ms: 1_000, ..config(&server) };
    let broker = ready(&config).await;
    publish(&broker, 0..100).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let mut seen = 0;
    while seen < 100 {
        for delivery in next(&mut consumer).await {
            seen += 1;
            // One third is forgotten, one third sent back.
            match delivery.stream_seq % 3 {
                0 => delivery.ack(),
                1 => delivery.nak_after(10),
                _ => {}
            }
        }
    }
    let mut again = BTreeSet::new();
    while again.len() < 67 {
        for delivery in next(&mut consumer).await {
            assert!(delivery.stream_seq % 3 != 0, "{delivery:?} was acknowledged");
            assert!(delivery.is_redelivery(), "{delivery:?}");
            again.insert(delivery.stream_seq);
            delivery.ack();
        }
    }
    all_acked(&broker, "inventory").await;
}

#[tokio::test]
async fn progress_starts_the_time_to_acknowledge_anew() {
    let server = Server::start();
    let broker = ready(&Config { ack_wait_ms: 1_000, ..config(&server) }).await;
    publish(&broker, 0..2).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let mut batch = Vec::new();
    while batch.len() < 2 {
        batch.extend(next(&mut consumer).await);
    }
    let working = &batch[0];
    // The neighbour, of which nothing is said, shows how the time passes: it comes three times, while
    // the one in progress does not come at all.
    let mut neighbour = 1;
    while neighbour < 4 {
        tokio::select! {
            again = next(&mut consumer) => {
                assert_eq!(again.iter().map(|delivery| delivery.stream_seq).collect::<Vec<_>>(), [2]);
                neighbour = again[0].delivered;
            }
            () = tokio::time::sleep(std::time::Duration::from_millis(100)) => working.progress(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_share_a_durable_and_filters_divide_a_stream() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let other = Outgoing { subject: "amends.cmd.payment.charge-payment".to_owned(), ..message("other") };
    broker.publisher().publish(vec![other]).await.remove(0).unwrap();
    publish(&broker, 0..200).await;
    let second = ready(&config(&server)).await;
    let (mut a, mut b) = (broker.consumer(spec("inventory")), second.consumer(spec("inventory")));
    let mut seen = BTreeSet::new();
    while seen.len() < 200 {
        let batch = tokio::select! { batch = next(&mut a) => batch, batch = next(&mut b) => batch };
        for delivery in batch {
            assert!(seen.insert(text(&delivery)), "{delivery:?} came to both");
            delivery.ack();
        }
    }
    assert!(!seen.contains("other"));
    all_acked(&broker, "inventory").await;
    assert_eq!(broker.health().differences, second.health().differences);
    assert_eq!(broker.health().differences, []);
}

#[tokio::test]
async fn a_new_consumer_starts_where_its_spec_says() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..3).await;
    let starting = |durable: &str, start| ConsumerSpec { start, ..spec(durable) };
    let mut all = broker.consumer(starting("all", Start::Beginning));
    assert_eq!(consume(&mut all, 0..3).await.len(), 3);
    let mut recent = broker.consumer(starting("recent", Start::MinutesBack(10)));
    assert_eq!(consume(&mut recent, 0..3).await.len(), 3);
    // Nothing back: the three before are none of its business.
    let mut none = broker.consumer(starting("none", Start::MinutesBack(0)));
    let never = CancellationToken::new();
    tokio::select! {
        _ = none.next(&never) => panic!("nothing may come"),
        _ = eventually("the consumer", async || {
            broker.consumer_status(Stream::Command, "none").await.unwrap()
        }) => {}
    }
    drop(recent);
    publish(&broker, 3..5).await;
    assert_eq!(consume(&mut none, 3..5).await.len(), 2);

    // A process that starts later asks for another start time; that is no difference.
    let mut again = broker.consumer(starting("recent", Start::MinutesBack(5)));
    assert_eq!(consume(&mut again, 3..5).await.len(), 2);
    assert_eq!(broker.health().differences, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_the_source_and_sends_back_what_was_not_handed_out() {
    let server = Server::start();
    // Redelivery by time alone would take an hour.
    let config = Config { ack_wait_ms: 3_600_000, ..config(&server) };
    let broker = ready(&config).await;
    publish(&broker, 0..40).await;
    let shutdown = CancellationToken::new();
    let mut consumer = broker.consumer(ConsumerSpec { batch_count_max: 16, ..spec("inventory") });
    let handed_out = consumer.next(&shutdown).await.unwrap();
    handed_out.iter().for_each(|delivery| delivery.ack());
    shutdown.cancel();
    assert!(consumer.next(&shutdown).await.is_none());
    assert!(consumer.next(&shutdown).await.is_none(), "it stays ended");
    broker.close().await;

    let broker = ready(&config).await;
    let mut successor = broker.consumer(spec("inventory"));
    let rest = consume(&mut successor, handed_out.len() as u64..40).await;
    assert_eq!(rest.len(), 40 - handed_out.len(), "what was acknowledged before the close stays so");
}

#[tokio::test]
async fn shutdown_waits_for_what_is_on_its_way() {
    let server = Server::start();
    let config = Config { ack_wait_ms: 3_600_000, ..config(&server) };
    let broker = ready(&config).await;
    let mut consumer = broker.consumer(ConsumerSpec { batch_count_max: 300, ..spec("inventory") });
    publish(&broker, 0..1).await;
    consume(&mut consumer, 0..1).await;
    // This thread, and with it our client, stands still until the server has sent it 200 more.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let other = ready(&config).await;
            publish(&other, 1..201).await;
            eventually("their delivery", async || {
                let status = other.consumer_status(Stream::Command, "inventory").await.unwrap()?;
                (status.delivered_seq == 201).then_some(())
            })
            .await;
        });
    })
    .join()
    .unwrap();
    let shutdown = CancellationToken::new();
    shutdown.cancel();
    assert!(consumer.next(&shutdown).await.is_none());
    let again = consume(&mut broker.consumer(spec("inventory")), 1..201).await;
    assert!(again.iter().all(|delivery| delivery.is_redelivery()), "{again:?}");
}

#[tokio::test]
async fn closing_writes_the_last_acknowledgements() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..50).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let mut batch = Vec::new();
    while batch.len() < 50 {
        batch.extend(next(&mut consumer).await);
    }
    // One thread, and no pause in which somebody else could write them.
    batch.iter().for_each(|delivery| delivery.ack());
    broker.close().await;
    all_acked(&ready(&config(&server)).await, "inventory").await;
}

#[tokio::test]
async fn a_dropped_consumer_sends_back_what_had_arrived() {
    let server = Server::start();
    let broker = ready(&Config { ack_wait_ms: 3_600_000, ..config(&server) }).await;
    let mut first = broker.consumer(ConsumerSpec { batch_count_max: 300, ..spec("inventory") });
    publish(&broker, 0..1).await;
    consume(&mut first, 0..1).await;
    // It has asked for more, so these come to it although nobody waits.
    publish(&broker, 1..201).await;
    eventually("their arrival", async || {
        let status = broker.consumer_status(Stream::Command, "inventory").await.unwrap()?;
        (status.delivered_seq == 201).then_some(())
    })
    .await;
    // Answers and messages share one connection: what was delivered before this answer has arrived.
    broker.probe().await.unwrap();
    drop(first);
    let again = consume(&mut broker.consumer(spec("inventory")), 1..201).await;
    assert!(again.iter().all(|delivery| delivery.is_redelivery()), "{again:?}");
}

#[tokio::test]
async fn a_dropped_wait_loses_nothing() {
    let server = Server::start();
    let broker = ready(&Config { ack_wait_ms: 3_600_000, ..config(&server) }).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let never = CancellationToken::new();
    publish(&broker, 0..200).await;
    let mut seen = BTreeSet::new();
    while seen.len() < 200 {
        tokio::select! {
            biased;
            // Polled once and dropped, again and again.
            batch = consumer.next(&never) => seen.extend(batch.unwrap().iter().map(text)),
            () = tokio::task::yield_now() => {}
        }
    }
}
