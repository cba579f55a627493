//! Streams and consumers as data: created as configured, compared, never changed.

use amends_broker::{Config, Stream, StreamLimits, Streams};
use async_nats::jetstream;

use crate::{
    fixture::{config, connect, eventually, next, publish, ready, spec},
    server::Server,
};

async fn by_hand(server: &Server) -> jetstream::Context {
    jetstream::new(async_nats::connect(server.url()).await.unwrap())
}

#[tokio::test]
async fn streams_are_created_as_configured() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let streams = broker.streams().await.unwrap();
    let names: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
    assert_eq!(names, ["AMENDS_CMD", "AMENDS_REPLY", "AMENDS_EVENT", "AMENDS_DEAD"]);
    assert_eq!(broker.reconcile().await.unwrap(), []);

    let found = by_hand(&server).await.get_stream("AMENDS_CMD").await.unwrap().cached_info().config.clone();
    assert_eq!(found.subjects, ["amends.cmd.>"]);
    assert_eq!(found.retention, jetstream::stream::RetentionPolicy::Limits);
    assert_eq!(found.discard, jetstream::stream::DiscardPolicy::Old);
    assert_eq!((found.max_age.as_secs(), found.duplicate_window.as_secs()), (72 * 3_600, 120));
}

#[tokio::test]
async fn prefixes_keep_groups_apart() {
    let server = Server::start();
    let ours = ready(&config(&server)).await;
    let theirs = ready(&Config { prefix: "other".to_owned(), ..config(&server) }).await;
    publish(&ours, 0..3).await;
    assert_eq!(ours.last_seq(Stream::Command).await.unwrap(), Some(3));
    assert_eq!(theirs.last_seq(Stream::Command).await.unwrap(), Some(0));
    assert_eq!(theirs.names().stream(Stream::Command), "OTHER_CMD");
}

#[tokio::test]
async fn differences_of_streams_are_named_and_left_alone() {
    let server = Server::start();
    let hand_made = jetstream::stream::Config {
        name: "AMENDS_REPLY".to_owned(),
        subjects: vec!["amends.reply.>".to_owned(), "amends.more".to_owned()],
        max_messages: 1_000,
        allow_direct: true,
        ..Default::default()
    };
    by_hand(&server).await.create_stream(hand_made).await.unwrap();
    let limits = StreamLimits { max_age_s: 60, max_bytes: 1 << 20 };
    let streams = Streams { reply: limits, duplicate_window_s: 30, ..Streams::default() };
    let broker = ready(&Config { streams, ..config(&server) }).await;
    let differences = broker.reconcile().await.unwrap();
    let texts: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"stream AMENDS_REPLY: subjects is ["amends.reply.>", "amends.more"], wanted ["amends.reply.>"]"#,
            "stream AMENDS_REPLY: max_age is 0ns, wanted 60s",
            "stream AMENDS_REPLY: max_bytes is -1, wanted 1048576",
            "stream AMENDS_REPLY: duplicate_window is 120s, wanted 30s",
            "stream AMENDS_REPLY: max_msgs is 1000, wanted -1",
        ]
    );
    assert_eq!(broker.health().differences, differences);
    assert_eq!(broker.health().not_ready(), None, "a difference is no failure");
    let found = by_hand(&server).await.get_stream("AMENDS_REPLY").await.unwrap().cached_info().config.clone();
    assert_eq!((found.max_messages, found.max_bytes), (1_000, -1));
}

#[tokio::test]
async fn differences_of_consumers_are_named_and_left_alone() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let hand_made = jetstream::consumer::pull::Config {
        durable_name: Some("inventory".to_owned()),
        ack_wait: std::time::Duration::from_secs(7),
        max_deliver: 3,
        ..Default::default()
    };
    let hand = by_hand(&server).await;
    hand.create_consumer_on_stream(hand_made, "AMENDS_CMD").await.unwrap();
    publish(&broker, 0..1).await;
    assert_eq!(next(&mut broker.consumer(spec("inventory"))).await.len(), 1);
    let texts: Vec<_> = broker.health().differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            r#"consumer inventory on AMENDS_CMD: filter_subject is "", wanted "amends.cmd.inventory.>""#,
            r#"consumer inventory on AMENDS_CMD: deliver_policy is "all", wanted "by_start_time""#,
            "consumer inventory on AMENDS_CMD: ack_wait is 7s, wanted 60s",
            "consumer inventory on AMENDS_CMD: max_deliver is 3, wanted -1",
            "consumer inventory on AMENDS_CMD: max_ack_pending is 1000, wanted 8192",
        ]
    );
    let found: jetstream::consumer::PullConsumer =
        hand.get_consumer_from_stream("inventory", "AMENDS_CMD").await.unwrap();
    assert_eq!(found.cached_info().config.max_deliver, 3);
}

#[tokio::test]
async fn a_stream_that_cannot_be_created_is_named_with_the_reason() {
    let server = Server::start();
    let squatter = jetstream::stream::Config {
        name: "SQUATTER".to_owned(),
        subjects: vec!["amends.event.>".to_owned()],
        ..Default::default()
    };
    by_hand(&server).await.create_stream(squatter).await.unwrap();
    let broker = connect(&config(&server)).await;
    let reason = eventually("the refusal", async || broker.health().not_ready()).await;
    let reason = if reason.contains("not connected") {
        eventually("the refusal", async || {
            broker.health().not_ready().filter(|reason| reason.contains("AMENDS_EVENT"))
        })
        .await
    } else {
        reason
    };
    assert!(reason.contains("AMENDS_EVENT cannot be created: subjects overlap"), "{reason}");
    assert!(broker.probe().await.is_err());
    // It cures itself when the obstacle goes.
    by_hand(&server).await.delete_stream("SQUATTER").await.unwrap();
    eventually("the cure", async || broker.probe().await.ok()).await;
    eventually("the forgotten problem", async || broker.health().not_ready().is_none().then_some(())).await;
}
