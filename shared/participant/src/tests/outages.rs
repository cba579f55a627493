//! The database is down, locked, cut: nothing is lost, nothing is blamed, the messages are kept alive.

use sea_orm::ConnectionTrait;
use serde_json::json;

use super::{
    service::{TestDb, action, call, config, done, service, succeeded},
    world::World,
};
use crate::{Config, Database, Pools, testing::Bench};

/// Without long waits for what is locked.
async fn impatient(db: &TestDb) -> Bench {
    let pools = Pools { busy_timeout_ms: 1, acquire_timeout_ms: 50, ..Pools::default() };
    let database = Database::connect(&db.url, &pools).await.unwrap();
    let participant = service(World::new());
    participant.migrate(&database).await.unwrap();
    Bench::on(participant, database, config()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_locked_is_waited_for() {
    let db = TestDb::sqlite();
    let bench = impatient(&db).await;
    let outside = sea_orm::Database::connect(&db.url).await.unwrap();
    let lock = sea_orm::TransactionTrait::begin_with_options(
        &outside,
        sea_orm::TransactionOptions {
            sqlite_transaction_mode: Some(sea_orm::SqliteTransactionMode::Exclusive),
            ..Default::default()
        },
    )
    .await
    .unwrap();
    waited_for(bench, lock.rollback()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_free_connections_is_waited_for() {
    let db = TestDb::postgres();
    let bench = impatient(&db).await;
    let mut taken = Vec::new();
    while let Ok(tx) = bench.db().begin().await {
        taken.push(tx);
    }
    waited_for(bench, async {
        for tx in taken {
            tx.rollback().await?;
        }
        Ok(())
    })
    .await;
}

async fn waited_for(bench: Bench, release: impl Future<Output = Result<(), sea_orm::DbErr>>) {
    let (command, called) = (action(1, json!({})), call(2));
    let deliveries = vec![bench.delivery(&command), bench.delivery(&called)];
    let handled = async {
        bench.deliver(deliveries).await;
    };
    let released = async {
        bench
            .broker
            .until("they are kept alive", |broker| {
                (broker.has_progress(1) && broker.has_progress(2)).then_some(())
            })
            .await;
        assert_eq!(bench.published(), [], "nothing is said yet");
        assert!(!bench.broker.is_acked(1));
        release.await.unwrap();
    };
    tokio::join!(handled, released);
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "n": null })));
    assert_eq!(bench.outcome_of(&called.effect).await, succeeded(json!({ "key": "step/do/1" })));
    bench
        .broker
        .until("they are acknowledged", |broker| (broker.is_acked(1) && broker.is_acked(2)).then_some(()))
        .await;
    assert!(bench.replies().iter().all(|reply| reply.outcome.is_final()), "nobody was blamed");
    assert_eq!(done(bench.db()).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_while_the_database_is_down_leaves_the_messages_to_the_broker() {
    let db = TestDb::sqlite();
    let bench = impatient(&db).await;
    let outside = sea_orm::Database::connect(&db.url).await.unwrap();
    outside.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();
    let delivery = bench.delivery(&action(1, json!({})));
    tokio::join!(bench.deliver(vec![delivery]), async {
        bench.broker.until("it is kept alive", |broker| broker.has_progress(1).then_some(())).await;
        bench.shut_down();
    });
    assert!(!bench.broker.is_acked(1));
    assert_eq!(bench.published(), []);
    outside.execute_unprepared("ROLLBACK").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_killed_cost_nothing_but_time() {
    let db = TestDb::postgres();
    let bench = db.bench_with(World::new(), Config { batch_count_max: 8, ..config() }).await;
    let outside = sea_orm::Database::connect(&db.url).await.unwrap();
    let commands: Vec<_> = (1..=400).map(|number| action(number, json!({}))).collect();
    let deliveries = commands.iter().map(|command| bench.delivery(command)).collect();
    let killing = async {
        for kills in 1_usize.. {
            let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            outside.execute_unprepared(sql).await.unwrap();
            let answered = bench.replies().len();
            if answered == commands.len() {
                break;
            }
            // The next one, as soon as something has got through.
            if kills < 20 {
                bench
                    .broker
                    .until("progress", |broker| (broker.published().len() > answered).then_some(()))
                    .await;
            } else {
                bench
                    .broker
                    .until("the rest", |broker| (broker.published().len() == 400).then_some(()))
                    .await;
            }
        }
    };
    tokio::join!(bench.deliver(deliveries), killing);
    for command in &commands {
        assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "n": null })));
    }
    assert_eq!(done(bench.db()).await.len(), 400, "each exactly once");
}
