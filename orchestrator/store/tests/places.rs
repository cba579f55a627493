//! Places of a step's `concurrency`: given in order, up to the limit, whoever gives them and at the same time.

use std::collections::BTreeSet;

use amends_contract::{SagaId, Token};
use amends_engine::{ActionState, Saga};
use amends_store::{PlaceLimit, Places, Store};
use futures::future::join_all;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, DbBackend, Statement};
use serde_json::json;

use crate::database::Database;
use crate::sagas::{at, completed, id, next, start_of, token, won};

on_both_databases!(
    places_are_given_in_order_up_to_the_limit,
    givers_at_the_same_time_keep_the_limit,
    each_version_has_its_own_limit,
    a_place_is_left_with_its_action_and_not_before,
    what_is_paused_does_not_queue,
);

/// An order whose first step waits for a place.
fn waiting(number: u32) -> Saga {
    let mut saga = crate::sagas::saga(number);
    let effect = json!({ "decided_at": at(number), "send_no": 0, "left": 3, "limited": true });
    saga.steps[0].action_effect = Some(serde_json::from_value(effect).unwrap());
    let flight = json!({ "held": "concurrency", "due_at": at(10_000) });
    saga.steps[0].action = ActionState::InFlight(serde_json::from_value(flight).unwrap());
    saga
}

/// It uses the place that it was given.
fn sent(saga: &mut Saga) {
    if let Some(effect) = &mut saga.steps[0].action_effect {
        effect.send_no = 1;
    }
    let flight = json!({ "due_at": at(20_000) });
    saga.steps[0].action = ActionState::InFlight(serde_json::from_value(flight).unwrap());
}

fn limit(versions: &[(u32, u32)]) -> PlaceLimit {
    PlaceLimit {
        definition: token("order"),
        step: token("reserve-stock"),
        by_version: versions.iter().copied().collect(),
    }
}

fn whose(places: &Places) -> Vec<SagaId> {
    let step: Token = token("reserve-stock");
    assert!(places.values().all(|steps| *steps == BTreeSet::from([step.clone().into()])));
    places.keys().copied().collect()
}

async fn given(outside: &DatabaseConnection, backend: DbBackend) -> i64 {
    let sql = "SELECT count(*) AS given FROM places WHERE given_at_ms IS NOT NULL";
    let row = outside.query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
    row.try_get("", "given").unwrap()
}

async fn load(store: &Store, number: u32) -> Saga {
    store.saga(id(number)).await.unwrap().unwrap()
}

async fn places_are_given_in_order_up_to_the_limit(db: Database) {
    let store = &db.store;
    let two = limit(&[(1, 2)]);
    assert!(!store.may_give_places(&two).await.unwrap());
    // The longest waiting are first, whatever came first into the database.
    for number in [4, 2, 1, 3] {
        won(store, start_of(waiting(number))).await;
    }
    assert!(store.may_give_places(&two).await.unwrap());
    let first = store.give_places(&two, 10).await.unwrap();
    assert_eq!(whose(&first), [id(1), id(2)]);
    assert!(!store.may_give_places(&two).await.unwrap());
    assert!(store.give_places(&two, 10).await.unwrap().is_empty());

    // Nobody has told them; whoever looks later does.
    assert_eq!(store.unused_places(0, 10).await.unwrap(), first);
    assert!(store.unused_places(3_600_000, 10).await.unwrap().is_empty());
    let using = won(store, next(&load(store, 1).await, sent)).await;
    assert_eq!(whose(&store.unused_places(0, 10).await.unwrap()), [id(2)]);

    won(store, next(&using, completed)).await;
    assert!(store.may_give_places(&two).await.unwrap());
    assert_eq!(whose(&store.give_places(&two, 10).await.unwrap()), [id(3)]);
    // Another step, or another saga's, has places of its own.
    let other = PlaceLimit { step: token("charge-payment"), ..two };
    assert!(!store.may_give_places(&other).await.unwrap());
    assert!(store.give_places(&other, 10).await.unwrap().is_empty());
}

async fn givers_at_the_same_time_keep_the_limit(db: Database) {
    const SAGAS: u32 = 60;
    const LIMIT: u32 = 7;
    db.store.commit(&(1..=SAGAS).map(|number| start_of(waiting(number))).collect::<Vec<_>>()).await.unwrap();
    let backend = if db.config.url.starts_with("sqlite") { DbBackend::Sqlite } else { DbBackend::Postgres };
    let store = db.with(|config| config.writers_max = 4).await;
    let tasks = (0..4).map(|_| {
        let store = store.clone();
        let url = db.config.url.replace(' ', "%20");
        tokio::spawn(async move {
            let outside = sea_orm::Database::connect(&url).await.unwrap();
            let limit = limit(&[(1, LIMIT)]);
            let mut ended = Vec::new();
            loop {
                let places = whose(&store.give_places(&limit, 3).await.unwrap());
                assert!(given(&outside, backend).await <= i64::from(LIMIT));
                for saga in &places {
                    let saga = store.saga(*saga).await.unwrap().unwrap();
                    let using = won(&store, next(&saga, sent)).await;
                    won(&store, next(&using, completed)).await;
                }
                // Nothing for me is no proof that nothing is left: others may have all the places.
                if places.is_empty() && !store.may_give_places(&limit).await.unwrap() {
                    let counts = store.counts().await.unwrap();
                    let done: u64 =
                        counts.by_status.iter().filter(|(s, _)| s.is_terminal()).map(|(_, n)| n).sum();
                    if done == u64::from(SAGAS) {
                        return ended;
                    }
                }
                ended.extend(places);
            }
        })
    });
    let ended: Vec<SagaId> = join_all(tasks).await.into_iter().flat_map(|task| task.unwrap()).collect();
    assert_eq!(ended.len(), SAGAS as usize, "each got one place");
    assert_eq!(ended.into_iter().collect::<BTreeSet<_>>(), (1..=SAGAS).map(id).collect());
    assert_eq!(given(&db.outside().await, backend).await, 0);
}

async fn each_version_has_its_own_limit(db: Database) {
    let version = |number: u32, version: u32| {
        let mut saga = waiting(number);
        saga.definition.version = version;
        start_of(saga)
    };
    let writes = vec![version(1, 1), version(2, 1), version(3, 9), version(4, 2), version(5, 2)];
    db.store.commit(&writes).await.unwrap();
    // The first version's one place is taken; the second may have three in all. The ninth is not known here.
    let known = limit(&[(1, 1), (2, 3)]);
    assert_eq!(whose(&db.store.give_places(&known, 10).await.unwrap()), [id(1), id(4), id(5)]);
    let newer = limit(&[(9, 4)]);
    assert_eq!(whose(&db.store.give_places(&newer, 10).await.unwrap()), [id(3)]);
}

async fn a_place_is_left_with_its_action_and_not_before(db: Database) {
    let (store, one) = (&db.store, limit(&[(1, 1)]));
    for number in 1..=2 {
        won(store, start_of(waiting(number))).await;
    }
    store.give_places(&one, 10).await.unwrap();
    let using = won(store, next(&load(store, 1).await, sent)).await;
    // Given up, it may still be running until its undo says otherwise.
    let unknown = won(store, next(&using, |saga| saga.steps[0].action = ActionState::Unknown)).await;
    assert!(!store.may_give_places(&one).await.unwrap());
    let undone = |saga: &mut Saga| saga.steps[0].undo = amends_engine::UndoState::NothingToUndo;
    won(store, next(&unknown, undone)).await;
    assert!(store.may_give_places(&one).await.unwrap());
    // Whoever turned backward while waiting waits no more.
    won(store, next(&load(store, 2).await, |saga| saga.steps[0].action = ActionState::Cancelled)).await;
    assert!(!store.may_give_places(&one).await.unwrap());
    assert!(store.give_places(&one, 10).await.unwrap().is_empty());
}

async fn what_is_paused_does_not_queue(db: Database) {
    let (store, one) = (&db.store, limit(&[(1, 1)]));
    let saga = won(store, start_of(waiting(1))).await;
    store.give_places(&one, 10).await.unwrap();
    let pause = |saga: &mut Saga| {
        saga.paused = Some(amends_engine::Paused { since: at(5), by: amends_engine::PausedBy::Operator });
    };
    // It was given a place and has not heard of it: others may have it.
    let paused = won(store, next(&saga, pause)).await;
    won(store, start_of(waiting(2))).await;
    assert_eq!(whose(&store.give_places(&one, 10).await.unwrap()), [id(2)]);
    let two = limit(&[(1, 2)]);
    assert!(!store.may_give_places(&two).await.unwrap());
    won(store, next(&paused, |saga| saga.paused = None)).await;
    assert_eq!(whose(&store.give_places(&two, 10).await.unwrap()), [id(1)]);
}
