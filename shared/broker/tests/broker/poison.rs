//! Messages made to break their reader, written to the socket by hand.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use amends_broker::{Config, Stream};

use crate::{
    fixture::{SUBJECT, all_acked, config, consume, next, publish, publish_stubbornly, ready, spec, text},
    server::Server,
};

/// Publishes a message whose header block is exactly `block`, as no client library would.
fn publish_raw(server: &Server, block: &str, body: &str) {
    let mut socket = TcpStream::connect(server.url().trim_start_matches("nats://")).unwrap();
    let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("INFO"));
    let (head, all) = (block.len(), block.len() + body.len());
    let connect = r#"CONNECT {"verbose":false,"headers":true,"protocol":1}"#;
    write!(socket, "{connect}\r\nHPUB {SUBJECT} {head} {all}\r\n{block}{body}\r\nPING\r\n").unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "PONG");
}

/// The poison comes as a message like any other, and its neighbours are all there.
async fn harmless(block: &str) {
    let server = Server::start();
    let broker = ready(&Config { ack_wait_ms: 1_000, ..config(&server) }).await;
    publish(&broker, 0..5).await;
    publish_raw(&server, block, "poison");
    publish(&broker, 5..10).await;
    let mut consumer = broker.consumer(spec("inventory"));
    let mut missing: BTreeSet<String> = (0..10).map(|number| number.to_string()).collect();
    missing.insert("poison".to_owned());
    while !missing.is_empty() {
        for delivery in next(&mut consumer).await {
            missing.remove(&text(&delivery));
            delivery.ack();
        }
    }
    all_acked(&broker, "inventory").await;
    let stored = broker.message(Stream::Command, 6).await.unwrap().unwrap();
    assert_eq!(stored.body, "poison");
    // And the way is free again for what comes after.
    publish_stubbornly(&broker, 10..20).await;
    consume(&mut consumer, 10..20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_line_is_no_word_of_the_server() {
    harmless("NATS/1.0 503\r\n\r\n").await;
    harmless("NATS/1.0 409 Consumer Deleted\r\n\r\n").await;
    harmless("NATS/1.0 408\r\nNats-Pending-Messages: 7\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_break_the_connection_break_it_once() {
    harmless("garbage").await;
    harmless("NATS/1.0\r\nno colon\r\n\r\n").await;
    harmless("NATS/1.0\r\nname with blanks: x\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_kill_the_client_kill_it_once() {
    harmless("NATS/1.0\r\nA: b\rc\r\n\r\n").await;
}
