//! How fast commits are, for a look by hand:
//! `cargo test -p amends-store -- --ignored --nocapture by_the_hundred`. It measures and judges nothing.

#![allow(clippy::print_stdout)]

use std::time::Instant;

use amends_store::Write;

use crate::database::Database;
use crate::sagas::{next, start};
use crate::tcp::Port;

const SAGAS: u32 = 10_000;
const TRANSITIONS: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn sqlite_by_the_hundred() {
    measure("SQLite", Database::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn postgres_by_the_hundred() {
    measure("PostgreSQL", Database::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn postgres_over_tcp_by_the_hundred() {
    let mut db = Database::postgres().await;
    let port = Port::open(0).await;
    let url = port.url(&db);
    db.store = db.with(|config| config.url = url).await;
    measure("PostgreSQL over TCP", db).await;
}

async fn measure(name: &str, db: Database) {
    // A hundred of them are more than one segment of the loopback, where Nagle's algorithm would bite.
    let large = |number: u32| {
        let mut write = start(number);
        write.saga.input = serde_json::Value::from("x".repeat(1_000)).into();
        write
    };
    let mut batches: Vec<Vec<Write>> =
        (0..SAGAS / 100).map(|batch| (batch * 100..batch * 100 + 100).map(large).collect()).collect();
    for transition in 0..=TRANSITIONS {
        let begun = Instant::now();
        for batch in &batches {
            db.store.commit(batch).await.unwrap();
        }
        let seconds = begun.elapsed().as_secs_f64();
        println!("{name}: transition {transition}: {:.0} rows/s", f64::from(SAGAS) / seconds);
        batches = batches
            .iter()
            .map(|batch| batch.iter().map(|write| next(&write.saga, |_| {})).collect())
            .collect();
    }
}
