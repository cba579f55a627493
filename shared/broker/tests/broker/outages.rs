//! What a broker can go through, and its consumers with it.

use std::collections::BTreeSet;

use crate::{
    fixture::{
        all_acked, changed, config, connect, consume, eventually, next, publish, publish_stubbornly, ready,
        spec, text,
    },
    server::Server,
};
use amends_broker::{Config, ConsumerSpec, Start, Stream, StreamPosition, admin};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_may_come_after_us() {
    let mut server = Server::stopped();
    let broker = connect(&config(&server)).await;
    assert!(broker.reconcile().await.is_err());
    let mut consumer = broker.consumer(spec("inventory"));
    let consuming = tokio::spawn(async move { consume(&mut consumer, 0..10).await.len() });
    let health = eventually("failed attempts", async || {
        let health = broker.health();
        (!health.problems.is_empty()).then_some(health)
    })
    .await;
    assert!(!health.connected);
    server.resume();
    publish_stubbornly(&broker, 0..10).await;
    assert_eq!(consuming.await.unwrap(), 10);
    assert_eq!(broker.reconcile().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_survives_restarts() {
    let mut server = Server::start();
    let broker = ready(&config(&server)).await;
    let mut consumer = broker.consumer(spec("inventory"));
    for round in 0..3 {
        let range = round * 100..(round + 1) * 100;
        publish_stubbornly(&broker, range.clone()).await;
        server.restart();
        consume(&mut consumer, range).await;
        server.restart();
    }
    assert_eq!(*broker.topology_changes().borrow(), 0, "a restart loses nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_store_is_furnished_again() {
    let mut server = Server::start();
    let broker = ready(&config(&server)).await;
    let mut changes = broker.topology_changes();
    let before = broker.stream_position(Stream::Command).await.unwrap().unwrap();
    let mut consumer = broker.consumer(spec("inventory"));
    publish(&broker, 0..50).await;
    consume(&mut consumer, 0..50).await;

    server.kill();
    server.wipe();
    server.resume();
    publish_stubbornly(&broker, 50..80).await;
    let again = consume(&mut consumer, 50..80).await;
    assert_eq!(again.iter().map(|delivery| delivery.stream_seq).min(), Some(1), "numbering starts anew");
    all_acked(&broker, "inventory").await;

    changed(&mut changes).await;
    let after = broker.stream_position(Stream::Command).await.unwrap().unwrap();
    assert!(after.created_at > before.created_at, "{after:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_went_back_is_noticed() {
    let mut server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..10).await;
    broker.reconcile().await.unwrap();
    server.kill();
    let backup = server.backup();
    server.resume();
    publish_stubbornly(&broker, 10..30).await;
    let mut consumer = broker.consumer(spec("inventory"));
    consume(&mut consumer, 0..30).await;
    let StreamPosition { created_at, last_seq, .. } =
        broker.stream_position(Stream::Command).await.unwrap().unwrap();
    broker.reconcile().await.unwrap();
    let mut changes = broker.topology_changes();
    assert_eq!(*changes.borrow_and_update(), 0);

    server.kill();
    server.restore(&backup);
    server.resume();
    changed(&mut changes).await;
    let back = broker.stream_position(Stream::Command).await.unwrap().unwrap();
    assert!(back.created_at == created_at && back.last_seq < last_seq, "{back:?}");
    // The consumer did not exist in the backup.
    publish_stubbornly(&broker, 30..40).await;
    consume(&mut consumer, 30..40).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_consumer_is_created_again() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let mut consumer = broker.consumer(spec("inventory"));
    publish(&broker, 0..10).await;
    consume(&mut consumer, 0..10).await;
    for round in 1..4 {
        assert!(admin::delete_consumer(&broker, Stream::Command, "inventory").await.unwrap());
        let range = round * 10..(round + 1) * 10;
        publish(&broker, range.clone()).await;
        consume(&mut consumer, range).await;
    }
    assert!(!admin::delete_consumer(&broker, Stream::Command, "nobody").await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_to_a_deleted_consumer_do_not_reach_its_successor() {
    let server = Server::start();
    let broker = ready(&Config { ack_wait_ms: 3_600_000, ..config(&server) }).await;
    let mut consumer = broker.consumer(ConsumerSpec { start: Start::Beginning, ..spec("inventory") });
    publish(&broker, 0..10).await;
    let mut old = Vec::new();
    while old.len() < 10 {
        old.extend(next(&mut consumer).await);
    }
    admin::delete_consumer(&broker, Stream::Command, "inventory").await.unwrap();
    let mut new = Vec::new();
    while new.len() < 10 {
        new.extend(next(&mut consumer).await);
    }
    old.iter().for_each(|delivery| delivery.ack());
    new[0].ack();
    let pending = eventually("the one acknowledgement", async || {
        let status = broker.consumer_status(Stream::Command, "inventory").await.unwrap().unwrap();
        (status.ack_pending < 10).then_some(status.ack_pending)
    })
    .await;
    assert_eq!(pending, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_stream_is_created_again() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let mut changes = broker.topology_changes();
    let mut consumer = broker.consumer(spec("inventory"));
    publish(&broker, 0..10).await;
    consume(&mut consumer, 0..10).await;
    assert!(admin::delete_stream(&broker, Stream::Command).await.unwrap());
    publish_stubbornly(&broker, 10..20).await;
    consume(&mut consumer, 10..20).await;
    changed(&mut changes).await;
    assert!(*changes.borrow() >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purged_stream_goes_on() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let mut consumer = broker.consumer(spec("inventory"));
    publish(&broker, 0..10).await;
    consume(&mut consumer, 0..5).await;
    assert!(admin::purge_stream(&broker, Stream::Command).await.unwrap());
    publish(&broker, 10..20).await;
    let after = consume(&mut consumer, 10..20).await;
    assert_eq!(after.last().unwrap().stream_seq, 20, "numbering goes on");
    broker.reconcile().await.unwrap();
    assert_eq!(*broker.topology_changes().borrow(), 0, "what is gone was deleted on purpose");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_the_broker_is_killed_again_and_again() {
    let mut server = Server::start();
    // What was on its way when the server died comes again after the time to acknowledge.
    let config = Config { publish_timeout_ms: 1_000, ack_wait_ms: 1_000, ..config(&server) };
    let broker = ready(&config).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let publishing = tokio::spawn({
        let broker = broker.clone();
        async move {
            for round in 0..20 {
                publish_stubbornly(&broker, round * 25..(round + 1) * 25).await;
            }
        }
    });
    // Duplicates are allowed, gaps are not.
    let mut seen = BTreeSet::new();
    let mut kills = 0;
    while seen.len() < 500 {
        for delivery in next(&mut consumer).await {
            seen.insert(text(&delivery));
            delivery.ack();
        }
        // In the midst of publishing, delivering and acknowledging.
        if seen.len() > kills * 50 {
            kills += 1;
            server.restart();
        }
    }
    assert!(kills >= 5, "{kills}");
    publishing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_there_is_awaited_before_it_is_created_again() {
    let server = Server::start();
    let patient = Config { stream_missing_patience_ms: 3_600_000, ..config(&server) };
    // The first one has seen the streams and would wait an hour; the second has not, and does not.
    let broker = ready(&patient).await;
    broker.reconcile().await.unwrap();
    admin::delete_stream(&broker, Stream::Dead).await.unwrap();
    let waiting = broker.reconcile();
    tokio::pin!(waiting);
    let newcomer = tokio::select! {
        newcomer = ready(&patient) => newcomer,
        outcome = &mut waiting => panic!("created at once: {outcome:?}"),
    };
    assert!(newcomer.stream_position(Stream::Dead).await.unwrap().is_some());
}
