//! A batch of decisions, committed: the first reply of as many orders. With full durability: SQLite with
//! `synchronous=FULL`, PostgreSQL with fsync.

use amends_definition::Definition;
use amends_engine::{Input, Output, Transition, handle};
use amends_store::{Access, CommitResult, Config, Store, Write};
use amends_tests::Cluster;
use divan::{Bencher, counter::ItemsCount};
use tokio::runtime::{self, Runtime};

use crate::order::{self, START, begin, done, reply, sent};

const BATCHES: [usize; 4] = [1, 10, 100, 500];
const SAMPLES: u32 = 40;

#[divan::bench(args = BATCHES, sample_count = SAMPLES, sample_size = 1)]
fn sqlite(bencher: Bencher<'_, '_>, batch: usize) {
    let folder = tempfile::tempdir().unwrap();
    commits(bencher, batch, format!("sqlite://{}/store.db", folder.path().display()));
}

#[divan::bench(args = BATCHES, sample_count = SAMPLES, sample_size = 1)]
fn postgres(bencher: Bencher<'_, '_>, batch: usize) {
    let cluster = Cluster::start_durable();
    commits(bencher, batch, cluster.create("micro"));
}

fn commits(bencher: Bencher<'_, '_>, batch: usize, url: String) {
    let (definition, runtime) = (order::definition(), threads());
    let config = Config { url, ..Config::default() };
    let store = runtime.block_on(async {
        let store = Store::connect(&config, Access::Exclusive).await.unwrap();
        store.migrate().await.unwrap();
        store
    });
    bencher
        .counter(ItemsCount::new(batch))
        .with_inputs(|| {
            let (starts, replies): (Vec<_>, Vec<_>) = (0..batch).map(|_| first_reply(&definition)).unzip();
            runtime.block_on(commit(&store, starts));
            replies
        })
        .bench_values(|writes| runtime.block_on(commit(&store, writes)));
}

async fn commit(store: &Store, writes: Vec<Write>) {
    let results = store.commit(&writes).await.unwrap();
    assert!(results.iter().all(|result| *result == CommitResult::Won));
}

/// What the start of an order writes, and what its first reply writes.
fn first_reply(definition: &Definition) -> (Write, Write) {
    let started = begin(definition, order::input());
    let command = sent(&started).unwrap();
    let input = Input::Reply(reply(&command, done(&command.effect)).into());
    let replied = handle(started.saga.clone(), input, START.plus_ms(5), definition).unwrap();
    (write(started, 0), write(replied, 1))
}

fn write(transition: Transition, expected_version: u64) -> Write {
    let Transition { saga, entry, outputs, .. } = transition;
    let events = outputs.into_iter().filter_map(|output| match output {
        Output::Emit(event) => Some(event),
        Output::Send(_) => None,
    });
    Write { saga, expected_version, entry, events: events.collect(), idempotency: None }
}

fn threads() -> Runtime {
    runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
