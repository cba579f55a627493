//! Messages made to break their reader, written to the socket by hand.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

use crate::{
    fixture::{SUBJECT, config, consume, publish, ready, spec},
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

async fn neighbours_survive(block: &str) {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 0..5).await;
    publish_raw(&server, block, "poison");
    publish(&broker, 5..10).await;
    let seqs = broker.last_seq(amends_broker::Stream::Command).await.unwrap();
    eprintln!("{block:?}: last {seqs:?}");
    let mut consumer = broker.consumer(spec("inventory"));
    let all = consume(&mut consumer, 0..10).await;
    eprintln!("{block:?}: {all:?} {:?}", broker.health());
}

#[tokio::test]
async fn p1() { neighbours_survive("NATS/1.0\r\nno colon\r\n\r\n").await; }
#[tokio::test]
async fn p2() { neighbours_survive("NATS/1.0 503\r\n\r\n").await; }
#[tokio::test]
async fn p3() { neighbours_survive("NATS/1.0 409 Consumer Deleted\r\n\r\n").await; }
#[tokio::test]
async fn p4() { neighbours_survive("garbage").await; }
#[tokio::test]
async fn p5() { neighbours_survive("NATS/1.0 xyz\r\n\r\n").await; }
#[tokio::test]
async fn p6() { neighbours_survive("NATS/1.0\r\nA: b\r\n").await; }
