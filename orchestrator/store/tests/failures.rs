//! Broken lines and stopped servers: the caller learns what it may rely on.

use std::time::Duration;

use amends_contract::SagaId;
use amends_store::{Access, CommitResult, Config, ErrorKind, Store};
use sea_orm::ConnectionTrait as _;

use crate::cut::{Cut, Relay};
use crate::database::Database;
use crate::postgres::Cluster;
use crate::sagas::{assert_gapless, completed, id, next, saga, start, started};

/// The database through a relay that can cut the line.
async fn through_relay(db: &Database) -> (Relay, Store) {
    let server = Cluster::shared().folder();
    let relay = Relay::start(server);
    let url = db.config.url.replace(server.to_str().unwrap(), relay.folder().to_str().unwrap());
    let store = Store::connect(&Config { url, writers_max: 1, ..db.config.clone() }, Access::Exclusive)
        .await
        .unwrap();
    (relay, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_unknown_and_can_be_looked_up() {
    let db = Database::postgres().await;
    let (relay, store) = through_relay(&db).await;
    let sagas = started(&store, [1]).await;
    let batch = || vec![next(&sagas[0], completed), start(2)];

    relay.cut(Cut::AfterCommit);
    let error = store.commit(&batch()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    // The answer may be lost before the server has finished.
    let loaded =
        soon(async || store.load(&[id(1), id(2)]).await.ok().filter(|all| all.sagas.len() == 2)).await;
    let versions: Vec<(SagaId, u64)> = loaded.sagas.iter().map(|saga| (saga.id, saga.version)).collect();
    assert!(versions.contains(&(id(1), 2)) && versions.contains(&(id(2), 1)), "{versions:?}");
    assert_eq!(store.commit(&batch()).await.unwrap(), [CommitResult::Conflict; 2]);

    relay.cut(Cut::BeforeCommit);
    let second = store.saga(id(2)).await.unwrap().unwrap();
    let batch = || vec![next(&second, completed), start(3)];
    let error = store.commit(&batch()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    let result = soon(async || store.commit(&batch()).await.ok()).await;
    assert_eq!(result, [CommitResult::Won; 2]);
    for number in 1..=3 {
        assert_gapless(&store, id(number)).await;
    }
}

/// One statement is a transaction by itself, without a COMMIT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_whose_answer_is_lost_is_tried_again() {
    let db = Database::postgres().await;
    let (relay, store) = through_relay(&db).await;
    let sagas = started(&store, [1]).await;
    for (never_heard, lost) in
        [(start(2), start(3)), (next(&sagas[0], |_| {}), next(&next(&sagas[0], |_| {}).saga, completed))]
    {
        // Prepared on this connection, so that its values come by themselves.
        relay.cut(Cut::BeforeValues);
        assert_eq!(store.commit(&[&never_heard]).await.unwrap(), [CommitResult::Won], "nobody else did it");

        relay.cut(Cut::AfterValues);
        let error = store.commit(&[&lost]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
        assert_eq!(store.commit(&[&lost]).await.unwrap(), [CommitResult::Conflict]);
        assert_eq!(store.saga(lost.saga.id).await.unwrap().unwrap().version, lost.saga.version);
    }
    for number in 1..=3 {
        assert_gapless(&store, id(number)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_server_is_away_what_was_sent_is_unknown_and_what_was_not_is_undone() {
    let db = Database::postgres().await;
    let (relay, store) = through_relay(&db).await;
    started(&store, [1]).await;
    relay.cut(Cut::AfterValues);
    relay.be_away(true);
    let error = store.commit(&[start(2)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error}");
    let error = store.commit(&[start(3)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    relay.be_away(false);
    assert_eq!(
        store.commit(&[start(2), start(3)]).await.unwrap(),
        [CommitResult::Conflict, CommitResult::Won]
    );
}

/// One of the batch wins now, so that nothing of it was written before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conflict_in_a_batch_that_was_never_heard_leaves_the_others_their_results() {
    let db = Database::postgres().await;
    let (relay, store) = through_relay(&db).await;
    let sagas = started(&store, [1, 2]).await;
    store.commit(&[next(&sagas[0], |_| {}), next(&saga(77), |_| {})]).await.unwrap();
    relay.cut(Cut::BeforeValues);
    let results = store.commit(&[next(&sagas[0], completed), next(&sagas[1], completed)]).await.unwrap();
    assert_eq!(results, [CommitResult::Conflict, CommitResult::Won]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_passes_over_connections_that_died_unnoticed() {
    let db = Database::postgres().await;
    started(&db.store, [1]).await;
    let outside = db.outside().await;
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                WHERE datname = current_database() AND pid <> pg_backend_pid()";
    outside.execute_unprepared(kill).await.unwrap();
    assert_eq!(db.store.commit(&[start(2)]).await.unwrap(), [CommitResult::Won]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_that_postgres_cannot_store_is_poison_of_its_row_only() {
    let db = Database::postgres().await;
    let mut write = start(1);
    write.idempotency = Some(crate::sagas::key(1, "\0"));
    let error = db.store.commit(&[start(2), write.clone()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poison, "{error}");
    assert!(db.store.commit(&[write]).await.unwrap_err().is_poison());
    assert_eq!(db.store.commit(&[start(2)]).await.unwrap(), [CommitResult::Won]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sqlite_file_that_somebody_keeps_locked_is_unavailable() {
    let db = Database::sqlite().await;
    let store = db.with(|config| config.busy_timeout_ms = 1).await;
    let outside = db.outside().await;
    outside.execute_unprepared("BEGIN EXCLUSIVE").await.unwrap();
    let error = store.commit(&[start(1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // Readers go on, whoever writes.
    assert_eq!(store.saga(id(1)).await.unwrap(), None);
    outside.execute_unprepared("COMMIT").await.unwrap();
    assert_eq!(store.commit(&[start(1)]).await.unwrap(), [CommitResult::Won]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_goes_on_without_its_caller() {
    let db = Database::sqlite().await;
    let store = db.store.clone();
    let caller = tokio::spawn(async move { store.commit(&(1..=50).map(start).collect::<Vec<_>>()).await });
    caller.abort();
    let _ = caller.await;
    // Either it was never begun, or it is there whole.
    let result = db.store.commit(&[start(100)]).await.unwrap();
    assert_eq!(result, [CommitResult::Won]);
    let ids: Vec<SagaId> = (1..=50).map(id).collect();
    let loaded = db.store.load(&ids).await.unwrap();
    assert!(loaded.sagas.is_empty() || loaded.sagas.len() == 50, "{}", loaded.sagas.len());
    assert!(
        loaded
            .sagas
            .iter()
            .all(|found| *found
                == saga(u32::try_from(found.started_at.ms_since(crate::sagas::at(0))).unwrap()))
    );
}

/// Asks again until there is an answer.
pub(crate) async fn soon<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(answer) = ask().await {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no answer within 30 seconds");
}
