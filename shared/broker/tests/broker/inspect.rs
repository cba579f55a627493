//! Questions about streams and consumers.

use amends_broker::{Error, Outgoing, Stream};

use crate::{
    fixture::{config, connect, consume, eventually, message, next, publish, ready, spec},
    server::Server,
};

#[tokio::test]
async fn a_stored_message_can_be_read() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let outgoing = Outgoing { message_id: Some("id".to_owned()), ..message("{\"a\": 1}") };
    let seq = broker.publisher().publish(vec![outgoing]).await.remove(0).unwrap().seq;
    let stored = broker.message(Stream::Command, seq).await.unwrap().unwrap();
    assert_eq!((stored.subject.as_str(), stored.seq), ("amends.cmd.inventory.reserve-stock", seq));
    assert_eq!(stored.body, "{\"a\": 1}");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(stored.headers, [pair("Content-Type", "text/plain"), pair("Nats-Msg-Id", "id")]);
    assert_eq!(broker.message(Stream::Command, seq + 1).await.unwrap(), None);
}

#[tokio::test]
async fn positions_and_consumers_tell_how_far_things_are() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    assert_eq!(broker.consumer_status(Stream::Command, "inventory").await.unwrap(), None);
    publish(&broker, 0..5).await;
    let position = broker.stream_position(Stream::Command).await.unwrap().unwrap();
    assert_eq!((position.last_seq, position.messages), (5, 5));
    assert!(position.bytes > 0);
    assert_eq!(broker.last_seq(Stream::Reply).await.unwrap(), Some(0));

    let mut consumer = broker.consumer(spec("inventory"));
    let mut batch = Vec::new();
    while batch.len() < 5 {
        batch.extend(next(&mut consumer).await);
    }
    batch[..3].iter().for_each(|delivery| delivery.ack());
    let status = eventually("the acknowledgements", async || {
        let status = broker.consumer_status(Stream::Command, "inventory").await.unwrap().unwrap();
        (status.ack_pending == 2).then_some(status)
    })
    .await;
    assert_eq!((status.pending, status.delivered_seq, status.acked_seq, status.redelivered), (0, 5, 3, 0));
    assert!(status.waiting > 0, "somebody is reading");
    let streams = broker.streams().await.unwrap();
    assert_eq!((streams[0].consumers, streams[0].first_seq), (1, 1));
}

#[tokio::test]
async fn a_server_without_jetstream_is_no_broker() {
    let server = Server::configured("");
    let broker = connect(&config(&server)).await;
    broker.connected().await;
    let error = broker.probe().await.unwrap_err();
    assert!(
        matches!(&error, Error::Unavailable(text) if text.contains("JetStream is switched off")),
        "{error}"
    );
    eventually("the problem", async || broker.health().not_ready()).await;
}

#[tokio::test]
async fn a_probe_tells_what_the_account_holds() {
    let server = Server::configured("jetstream: { store_dir: \"STORE\", max_file_store: 8G }");
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..5).await;
    let probe = broker.probe().await.unwrap();
    assert_eq!(probe.streams, 4);
    assert!(probe.store_bytes > 0);
    let health = broker.health();
    assert!(health.connected && health.server.unwrap().starts_with("test 2."));
}

#[tokio::test]
async fn closing_ends_the_connection_for_all_clones() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..3).await;
    consume(&mut broker.consumer(spec("inventory")), 0..3).await;
    let clone = broker.clone();
    broker.close().await;
    eventually("the end", async || (!clone.health().connected).then_some(())).await;
}
