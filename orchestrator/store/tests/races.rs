//! Many committers at once: no deadlock, no lost line, one winner each.

use amends_contract::SagaId;
use amends_store::{CommitResult, Config, Store, Write};
use futures::future::join_all;

use crate::database::Database;
use crate::sagas::{assert_gapless, id, key, next, start, started};

on_both_databases!(
    committers_of_the_same_sagas_do_not_deadlock,
    one_key_has_one_winner_among_many,
    claims_and_commits_do_not_deadlock,
);

const TASKS: u32 = 4;

/// A deadlock that is tried again would go unseen, and so would one of committers that wait for one
/// connection.
fn one_try_each(config: &mut Config) {
    config.commit_tries_max = 1;
    config.writers_max = TASKS;
}

/// A fixed sequence of numbers that looks random, another one for each seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// Some of the items, in another order each time.
    fn some<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
        let count = 1 + self.below(items.len());
        items.truncate(count);
        items
    }
}

/// Loads some of the sagas and commits a next step of each, `rounds` times; counts how many won.
async fn hammer(store: Store, ids: Vec<SagaId>, seed: u64, rounds: u32) -> usize {
    let mut numbers = Numbers(seed);
    let mut wins = 0;
    for _ in 0..rounds {
        let loaded = store.load(&numbers.some(&ids)).await.unwrap();
        let writes: Vec<Write> = numbers.some(&loaded.sagas).iter().map(|saga| next(saga, |_| {})).collect();
        let results = store.commit(&writes).await.unwrap();
        wins += results.iter().filter(|result| **result == CommitResult::Won).count();
    }
    wins
}

async fn committers_of_the_same_sagas_do_not_deadlock(db: Database) {
    let ids: Vec<SagaId> = started(&db.store, 1..=20).await.iter().map(|saga| saga.id).collect();
    db.join_like_large_tables().await;
    let store = db.with(one_try_each).await;
    let tasks = (0..TASKS).map(|n| tokio::spawn(hammer(store.clone(), ids.clone(), u64::from(n), 40)));
    let wins: usize = join_all(tasks).await.into_iter().map(|task| task.unwrap()).sum();
    let mut versions = 0;
    for id in ids {
        versions += assert_gapless(&db.store, id).await.version - 1;
    }
    assert_eq!(usize::try_from(versions).unwrap(), wins);
}

async fn one_key_has_one_winner_among_many(db: Database) {
    let store = db.with(one_try_each).await;
    let tasks = (0..TASKS).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut numbers = Numbers(u64::from(task));
            let keys: Vec<u32> = (0..50).collect();
            let shuffled = (0..4).flat_map(|_| numbers.some(&keys)).collect::<Vec<_>>();
            let writes: Vec<Write> = shuffled
                .iter()
                .enumerate()
                .map(|(n, wanted)| {
                    let number = 1_000 * (task + 1) + u32::try_from(n).unwrap();
                    Write { idempotency: Some(key(1, &wanted.to_string())), ..start(number) }
                })
                .collect();
            let mut won = Vec::new();
            for part in writes.chunks(20) {
                for (write, committed) in part.iter().zip(store.commit(part).await.unwrap()) {
                    match committed.result {
                        CommitResult::Won => won.push(write.clone()),
                        CommitResult::DuplicateKey => {}
                        CommitResult::Conflict => panic!("a new saga met its own id"),
                    }
                }
            }
            won
        })
    });
    let won: Vec<Write> = join_all(tasks).await.into_iter().flat_map(|task| task.unwrap()).collect();
    let mut keys: Vec<&str> =
        won.iter().map(|write| write.idempotency.as_ref().unwrap().key.as_str()).collect();
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key has two winners");
    for write in &won {
        let answer = db.store.idempotency(id(1).uuid(), &write.idempotency.as_ref().unwrap().key).await;
        assert_eq!(answer.unwrap().unwrap().saga, write.saga.id);
    }
    let counts = db.store.counts().await.unwrap();
    assert_eq!(counts.by_status.values().sum::<u64>(), u64::try_from(count).unwrap());
}

async fn claims_and_commits_do_not_deadlock(db: Database) {
    let ids: Vec<SagaId> = started(&db.store, 1..=30).await.iter().map(|saga| saga.id).collect();
    db.join_like_large_tables().await;
    let store = db.with(one_try_each).await;
    let committing =
        (0..2).map(|n| tokio::spawn(hammer(store.clone(), ids.clone(), 70 + n, 30))).collect::<Vec<_>>();
    let claiming = (0..2).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            for _ in 0..60 {
                store.claim_due(10, 0, &[]).await.unwrap();
            }
        })
    });
    let claiming: Vec<_> = claiming.collect();
    for task in committing {
        assert!(task.await.unwrap() > 0);
    }
    for task in claiming {
        task.await.unwrap();
    }
    for id in ids {
        assert_gapless(&db.store, id).await;
    }
}
