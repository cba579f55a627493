//! Deleting sagas: what may go and what stays, what goes with them, several at once.

use std::collections::{BTreeMap, BTreeSet};

use amends_contract::{SagaId, Timestamp};
use amends_engine::Status;
use amends_store::{CommitResult, EndedSaga, Store, Write};
use sea_orm::{ConnectionTrait as _, Statement};

use crate::database::Database;
use crate::sagas::{at, compensated, completed, id, key, next, start, started, token, won};

on_both_databases!(
    only_sagas_that_have_ended_are_listed_in_the_order_of_their_ids,
    a_saga_goes_with_all_that_hangs_on_it,
    a_saga_that_changed_meanwhile_stays,
    a_saga_that_has_not_ended_stays_whatever_is_asked,
    a_saga_that_cannot_be_read_stays,
    of_those_that_participants_remember_something_is_left,
    several_processes_take_different_ones,
    open_sagas_are_told_from_others,
    a_commit_goes_on_while_others_are_taken,
);

/// Tables in which a saga has rows, and the column that says whose they are.
const TABLES: [(&str, &str); 5] = [
    ("sagas", "id"),
    ("journal", "saga_id"),
    ("saga_labels", "saga_id"),
    ("places", "saga_id"),
    ("idempotency", "saga_id"),
];

async fn listed(store: &Store) -> Vec<EndedSaga> {
    store.ended_sagas(&token("order"), at(1_000), None, 100).await.unwrap()
}

fn ids(sagas: &[EndedSaga]) -> BTreeSet<SagaId> {
    sagas.iter().map(|saga| saga.id).collect()
}

/// Deletes them; none of them is remembered.
async fn delete(store: &Store, sagas: &[EndedSaga]) -> usize {
    store.take_ended(sagas).await.unwrap().delete(&ids(sagas), at(100_000)).await.unwrap()
}

/// The sagas that have rows in this table.
async fn sagas_in(db: &Database, (table, column): (&str, &str)) -> BTreeSet<SagaId> {
    let outside = db.outside().await;
    let sql = format!("SELECT DISTINCT {column} AS saga FROM {table}");
    let rows =
        outside.query_all_raw(Statement::from_string(outside.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| SagaId::new(row.try_get("", "saga").unwrap()).unwrap()).collect()
}

async fn only_sagas_that_have_ended_are_listed_in_the_order_of_their_ids(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=6).await;
    for (number, end) in [(5, completed as fn(&mut _)), (1, compensated), (3, completed)] {
        won(store, next(&sagas[number], end)).await;
    }
    let mut other = crate::sagas::saga(7);
    other.definition.name = token("return");
    won(store, next(&won(store, crate::sagas::start_of(other)).await, completed)).await;
    let listed = |before: u32, after: Option<u32>, limit: u32| {
        let after = after.map(id);
        async move {
            let found = store.ended_sagas(&token("order"), at(before), after, limit).await.unwrap();
            found.into_iter().map(|saga| saga.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(100, None, 100).await, [id(2), id(4), id(6)]);
    assert_eq!(listed(6, None, 100).await, [id(2), id(4)], "made at that moment is not made before it");
    assert_eq!(listed(100, Some(2), 1).await, [id(4)]);
    let first = store.ended_sagas(&token("order"), at(100), None, 1).await.unwrap()[0];
    assert_eq!((first.definition_version, first.version, first.updated_at), (1, 2, at(2)));
}

async fn a_saga_goes_with_all_that_hangs_on_it(db: Database) {
    let store = &db.store;
    let mut keyed: Vec<Write> = (1..=3).map(start).collect();
    for (number, write) in (1..).zip(&mut keyed) {
        write.idempotency = Some(key(number, "first"));
    }
    let sagas: Vec<_> = keyed.iter().map(|write| write.saga.clone()).collect();
    let results = store.commit(&keyed).await.unwrap();
    assert_eq!(results, [CommitResult::Won; 3]);
    for saga in &sagas[..2] {
        won(store, next(saga, completed)).await;
    }
    let everyone = BTreeSet::from([id(1), id(2), id(3)]);
    for table in TABLES.into_iter().filter(|(table, _)| *table != "places") {
        assert_eq!(sagas_in(&db, table).await, everyone, "{table:?}");
    }
    let listed = listed(store).await;
    assert_eq!(delete(store, &listed[..1]).await, 1);
    for table in TABLES.into_iter().filter(|(table, _)| *table != "places") {
        assert_eq!(sagas_in(&db, table).await, BTreeSet::from([id(2), id(3)]), "{table:?}");
    }
    assert_eq!(store.idempotency(id(1).uuid(), "first").await.unwrap(), None);
    assert!(store.idempotency(id(2).uuid(), "first").await.unwrap().is_some());
    // Its key may start another one now.
    let mut again = start(9);
    again.idempotency = Some(key(1, "first"));
    won(store, again).await;
}

async fn a_saga_that_changed_meanwhile_stays(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=2).await;
    let mut ended = Vec::new();
    for saga in &sagas {
        ended.push(won(store, next(saga, completed)).await);
    }
    let listed = listed(store).await;
    // A late reply is journalled behind the end.
    won(store, next(&ended[0], |_| {})).await;
    let taken = store.take_ended(&listed).await.unwrap();
    assert_eq!(taken.sagas(), [ended[1].clone()]);
    assert_eq!(taken.delete(&ids(&listed), at(100_000)).await.unwrap(), 1);
    assert_eq!(store.load(&[id(1), id(2)]).await.unwrap().sagas.len(), 1);
    assert_eq!(sagas_in(&db, TABLES[1]).await, BTreeSet::from([id(1)]));
    crate::sagas::assert_gapless(store, id(1)).await;
}

async fn a_saga_that_has_not_ended_stays_whatever_is_asked(db: Database) {
    let store = &db.store;
    started(store, [1]).await;
    let claimed = EndedSaga { id: id(1), definition_version: 1, version: 1, updated_at: at(1) };
    assert_eq!(delete(store, &[claimed]).await, 0);
    crate::sagas::assert_gapless(store, id(1)).await;
}

async fn a_saga_that_cannot_be_read_stays(db: Database) {
    let store = &db.store;
    for saga in started(store, 1..=2).await {
        won(store, next(&saga, completed)).await;
    }
    db.damage("UPDATE sagas SET state = '{}' WHERE started_at_ms % 10 = 1").await;
    let listed = listed(store).await;
    let taken = store.take_ended(&listed).await.unwrap();
    assert_eq!((taken.sagas().len(), taken.unreadable()[0].id), (1, id(1)));
    assert_eq!(taken.delete(&ids(&listed), at(100_000)).await.unwrap(), 1);
    assert_eq!(sagas_in(&db, TABLES[0]).await, BTreeSet::from([id(1)]));
}

async fn of_those_that_participants_remember_something_is_left(db: Database) {
    let store = &db.store;
    for (saga, end) in
        started(store, 1..=4).await.iter().zip([completed, compensated, completed, compensated])
    {
        won(store, next(saga, end)).await;
    }
    let listed = listed(store).await;
    let taken = store.take_ended(&listed).await.unwrap();
    assert_eq!(taken.delete(&ids(&listed[..3]), at(2)).await.unwrap(), 3);
    let all: Vec<SagaId> = (1..=4).map(id).collect();
    let left = BTreeMap::from([(id(2), Status::Compensated), (id(3), Status::Completed)]);
    assert_eq!(store.deleted_among(&all).await.unwrap(), left);
    assert_eq!(store.forget_deleted(at(3), 10).await.unwrap(), 1);
    assert_eq!(store.deleted_among(&all).await.unwrap().len(), 1);
    assert_eq!(store.forget_deleted(Timestamp::from_unix_ms(i64::MAX), 10).await.unwrap(), 1);
}

async fn several_processes_take_different_ones(db: Database) {
    let store = &db.store;
    for saga in started(store, 1..=8).await {
        won(store, next(&saga, completed)).await;
    }
    let other = db.with(|_| {}).await;
    let listed = listed(store).await;
    let mine = store.take_ended(&listed[..5]).await.unwrap();
    let theirs = other.take_ended(&listed).await.unwrap();
    assert_eq!(mine.sagas().len(), 5);
    if db.config.url.starts_with("postgres:") {
        let theirs: Vec<SagaId> = theirs.sagas().iter().map(|saga| saga.id).collect();
        assert_eq!(theirs, [id(6), id(7), id(8)]);
    }
    let all = ids(&listed);
    let (mine, theirs) = (mine.delete(&all, at(0)).await.unwrap(), theirs.delete(&all, at(0)).await.unwrap());
    assert_eq!((mine, theirs), (5, 3), "each goes once");
    for table in TABLES {
        assert_eq!(sagas_in(&db, table).await, BTreeSet::new(), "{table:?}");
    }
    assert_eq!(store.deleted_among(&(1..=8).map(id).collect::<Vec<_>>()).await.unwrap().len(), 8);
}

async fn open_sagas_are_told_from_others(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=3).await;
    won(store, next(&sagas[1], completed)).await;
    let asked = BTreeSet::from([id(1), id(2), id(9)]);
    assert_eq!(store.open_among(&asked).await.unwrap(), BTreeSet::from([id(1)]));
}

async fn a_commit_goes_on_while_others_are_taken(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=2).await;
    won(store, next(&sagas[0], completed)).await;
    let taken = store.take_ended(&listed(store).await).await.unwrap();
    // Neither a new saga nor a running one waits for it.
    started(store, [3]).await;
    won(store, next(&sagas[1], completed)).await;
    assert_eq!(taken.delete(&BTreeSet::from([id(1)]), at(0)).await.unwrap(), 1);
}
