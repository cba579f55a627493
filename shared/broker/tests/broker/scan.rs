//! Streams are read a page at a time, from a number or a moment, up to what was asked for.

use amends_broker::{Scan, ScanFrom, Stream, admin};
use amends_contract::Timestamp;

use crate::fixture::{SUBJECT, config, eventually, publish, ready};
use crate::server::Server;

const ALL: Scan =
    Scan { stream: Stream::Command, from: ScanFrom::Seq(1), until: None, subject: None, count_max: u64::MAX };

#[tokio::test]
async fn a_stream_is_read_in_pages() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    let read = async |scan: &Scan, stop_at: u64| {
        let mut seqs = Vec::new();
        let see = |message: amends_broker::StoredMessage| {
            seqs.push(message.seq);
            message.seq != stop_at
        };
        let scanned = broker.scan(scan, see).await.unwrap();
        (seqs, scanned.next_seq)
    };
    assert_eq!(read(&ALL, 0).await, (Vec::new(), None), "an empty stream");
    publish(&broker, 0..1_100).await;
    assert_eq!(read(&ALL, 0).await, ((1..=1_100).collect(), None));
    let some = Scan { from: ScanFrom::Seq(600), count_max: 300, ..ALL };
    assert_eq!(read(&some, 0).await, ((600..900).collect(), Some(900)));
    assert_eq!(read(&ALL, 7).await, ((1..=7).collect(), Some(8)), "whoever has seen enough says so");
    assert_eq!(read(&Scan { from: ScanFrom::Seq(1_101), ..ALL }, 0).await, (Vec::new(), None));
    assert_eq!(read(&Scan { count_max: 1_100, ..ALL }, 0).await.0.len(), 1_100);

    let other = Some("amends.cmd.payment.>".to_owned());
    assert_eq!(read(&Scan { subject: other, ..ALL }, 0).await, (Vec::new(), None));
    let same = Some(SUBJECT.to_owned());
    assert_eq!(read(&Scan { subject: same, ..ALL }, 0).await.0.len(), 1_100);

    let middle = broker.message(Stream::Command, 550).await.unwrap().unwrap().stored_at;
    let late = read(&Scan { from: ScanFrom::Time(middle), ..ALL }, 0).await.0;
    assert!(late.contains(&550) && late.contains(&1_100), "{} are late", late.len());
    let early = read(&Scan { until: Some(middle), ..ALL }, 0).await;
    assert!(early.0.contains(&550) && early.0.contains(&1) && early.1.is_none());
    let future = Timestamp::from_unix_ms(4_000_000_000_000);
    assert_eq!(read(&Scan { from: ScanFrom::Time(future), ..ALL }, 0).await.0, [0; 0]);
}

#[tokio::test]
async fn a_message_comes_as_it_was_stored() {
    let server = Server::start();
    let broker = ready(&config(&server)).await;
    publish(&broker, 5..6).await;
    let stored = broker.message(Stream::Command, 1).await.unwrap().unwrap();
    let mut seen = Vec::new();
    let scanned = broker.scan(&ALL, |message| {
        seen.push(message);
        true
    });
    assert_eq!(scanned.await.unwrap().count, 1);
    assert_eq!(seen, [stored]);
}

#[tokio::test]
async fn a_stream_that_is_missing_is_no_empty_one() {
    let server = Server::start();
    let config = amends_broker::Config { stream_missing_patience_ms: 60_000, ..config(&server) };
    let broker = ready(&config).await;
    eventually("the stream is gone", async || admin::delete_stream(&broker, Stream::Command).await.ok())
        .await;
    assert!(broker.scan(&ALL, |_| true).await.is_err());
}
