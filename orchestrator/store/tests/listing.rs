//! Finding sagas: every filter, paging without gaps or repetitions, counts.

use std::collections::BTreeMap;

use amends_contract::Digest;
use amends_engine::Status;
use amends_store::{Flag, SagaFilter, Store};

use crate::database::Database;
use crate::sagas::{at, compensated, completed, id, next, start_of, started, token, won};

on_both_databases!(
    pages_neither_skip_nor_repeat,
    every_filter_narrows,
    filters_side_by_side_are_one_list,
    counts_are_by_status,
);

/// The numbers of the sagas that a filter finds, newest first.
async fn found(store: &Store, filter: &SagaFilter) -> Vec<u32> {
    let page = store.sagas(filter, None, 100).await.unwrap();
    assert_eq!(page.next, None);
    page.rows.iter().map(|row| u32::try_from(row.id.made_at().ms_since(at(0))).unwrap()).collect()
}

async fn pages_neither_skip_nor_repeat(db: Database) {
    started(&db.store, 1..=10).await;
    let everything = SagaFilter::default();
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let page = db.store.sagas(&everything, cursor, 4).await.unwrap();
        // What is made meanwhile belongs to the beginning and disturbs no later page.
        started(&db.store, [100 + u32::try_from(pages.len()).unwrap()]).await;
        pages.push(page.rows.iter().map(|row| row.id).collect::<Vec<_>>());
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let expected: Vec<Vec<_>> =
        [(7..=10), (3..=6), (1..=2)].into_iter().map(|range| range.rev().map(id).collect()).collect();
    assert_eq!(pages, expected);
    let customer =
        SagaFilter { labels: [("customer".to_owned(), "c1".to_owned())].into(), ..everything.clone() };
    let page = db.store.sagas(&customer, None, 1).await.unwrap();
    let rest = db.store.sagas(&customer, page.next, 100).await.unwrap();
    assert_eq!((page.rows[0].id, rest.rows[0].id), (id(100), id(10)));
    let saga = db.store.saga(id(9)).await.unwrap().unwrap();
    won(&db.store, next(&saga, completed)).await;
    let both = SagaFilter { statuses: vec![Status::Completed, Status::Running], ..everything.clone() };
    let mut merged = Vec::new();
    let mut cursor = Some(id(11));
    while cursor.is_some() && merged.len() < 4 {
        let page = db.store.sagas(&both, cursor, 1).await.unwrap();
        merged.extend(page.rows.iter().map(|row| row.id));
        cursor = page.next;
    }
    assert_eq!(merged, [id(10), id(9), id(8), id(7)]);
    let exact = db.store.sagas(&everything, Some(id(5)), 4).await.unwrap();
    assert_eq!((exact.rows.len(), exact.next), (4, None));
}

async fn every_filter_narrows(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=6).await;
    won(store, next(&sagas[1], completed)).await;
    won(store, next(&sagas[2], compensated)).await;
    won(store, next(&sagas[3], |saga| saga.overdue_at = Some(at(9)))).await;
    let mut other = crate::sagas::saga(7);
    other.definition.name = token("return");
    other.definition.version = 3;
    other.labels.insert(token("kind"), "b2b".to_owned());
    won(store, start_of(other)).await;

    let mut ended = store.ended_of(&[2, 3, 4, 9].map(id)).await.unwrap();
    ended.sort_unstable_by_key(|saga| saga.id);
    assert_eq!(ended.iter().map(|saga| saga.id).collect::<Vec<_>>(), [id(2), id(3)]);

    let filter = SagaFilter::default;
    let label = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let mut both = label("customer", "c1");
    both.extend(label("kind", "b2b"));
    let cases = [
        (filter(), vec![7, 6, 5, 4, 3, 2, 1]),
        (SagaFilter { statuses: vec![Status::Completed, Status::Compensated], ..filter() }, vec![3, 2]),
        (SagaFilter { statuses: vec![Status::Parked], ..filter() }, vec![]),
        (SagaFilter { flags: vec![Flag::NeedsAttention], ..filter() }, vec![4]),
        (SagaFilter { flags: vec![Flag::Overdue, Flag::NeedsAttention], ..filter() }, vec![4]),
        (SagaFilter { flags: vec![Flag::Held], ..filter() }, vec![]),
        (SagaFilter { definition: Some(token("return")), ..filter() }, vec![7]),
        (SagaFilter { version: Some(1), ..filter() }, vec![6, 5, 4, 3, 2, 1]),
        (SagaFilter { labels: label("customer", "c0"), ..filter() }, vec![6, 3]),
        (SagaFilter { labels: label("customer", "c"), ..filter() }, vec![]),
        (SagaFilter { labels: both.clone(), ..filter() }, vec![7]),
        (SagaFilter { labels: both, made_before: Some(at(7)), ..filter() }, vec![]),
        (SagaFilter { failure_code: Some("out-of-stock".to_owned()), ..filter() }, vec![3]),
        (SagaFilter { failure_step: Some("reserve-stock".to_owned()), ..filter() }, vec![3]),
        (SagaFilter { failure_step: Some("charge".to_owned()), ..filter() }, vec![]),
        (SagaFilter { made_from: Some(at(5)), ..filter() }, vec![7, 6, 5]),
        (SagaFilter { made_before: Some(at(3)), ..filter() }, vec![2, 1]),
        (SagaFilter { made_from: Some(at(2)), made_before: Some(at(4)), ..filter() }, vec![3, 2]),
        (
            SagaFilter {
                statuses: vec![Status::Running],
                labels: label("customer", "c0"),
                made_from: Some(at(4)),
                ..filter()
            },
            vec![6],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(found(store, &filter).await, expected, "{filter:?}");
    }
    for flag in Flag::ALL {
        found(store, &SagaFilter { flags: vec![flag], ..filter() }).await;
    }
    let long = format!("\0{}", "ü".repeat(900));
    let mut labelled = crate::sagas::saga(8);
    labelled.labels.insert(token("note"), long.clone());
    won(store, start_of(labelled)).await;
    assert_eq!(found(store, &SagaFilter { labels: label("note", &long), ..filter() }).await, [8]);
}

async fn filters_side_by_side_are_one_list(db: Database) {
    let store = &db.store;
    let sagas = started(store, 1..=6).await;
    won(store, next(&sagas[1], completed)).await;
    won(store, next(&sagas[3], |saga| saga.overdue_at = Some(at(9)))).await;
    let mut newer = crate::sagas::saga(7);
    newer.digest = Digest::of(b"newer");
    won(store, start_of(newer)).await;
    let open_of = |digest: &[u8]| SagaFilter {
        open_of: Some(vec![(sagas[0].definition.clone(), Digest::of(digest))]),
        ..SagaFilter::default()
    };
    assert_eq!(found(store, &open_of(b"order")).await, [6, 5, 4, 3, 1]);
    assert_eq!(store.count(&open_of(b"order")).await.unwrap(), 5);
    assert_eq!(found(store, &open_of(b"newer")).await, [7]);
    let none = SagaFilter { open_of: Some(Vec::new()), ..SagaFilter::default() };
    assert!(found(store, &none).await.is_empty());

    let attention = SagaFilter { flags: vec![Flag::NeedsAttention], ..SagaFilter::default() };
    let either = [attention, open_of(b"newer")];
    let first = store.sagas_of_any(&either, None, 1).await.unwrap();
    let second = store.sagas_of_any(&either, first.next, 1).await.unwrap();
    assert_eq!((first.rows[0].id, second.rows[0].id, second.next), (id(7), id(4), None));
}

async fn counts_are_by_status(db: Database) {
    assert_eq!(db.store.counts().await.unwrap(), amends_store::Counts::default());
    let sagas = started(&db.store, 1..=5).await;
    won(&db.store, next(&sagas[0], completed)).await;
    won(&db.store, next(&sagas[1], |saga| saga.overdue_at = Some(at(9)))).await;
    let counts = db.store.counts().await.unwrap();
    assert_eq!(counts.by_status, BTreeMap::from([(Status::Running, 4), (Status::Completed, 1)]));
    assert_eq!(counts.needs_attention, 1);
}
