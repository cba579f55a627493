//! Committing batches: who wins, who loses, and that no loser harms a winner.

use amends_contract::SagaId;
use amends_engine::{Failure, Saga};
use amends_store::{CommitResult, ErrorKind, SagaFilter};

use sea_orm::{ConnectionTrait as _, Statement};

use crate::database::Database;
use crate::events::ANY_TIME;
use crate::sagas::{assert_gapless, compensated, completed, id, next, saga, start, start_of, started, won};

on_both_databases!(
    winners_and_losers_share_a_batch,
    an_empty_batch_is_no_transaction,
    alone_and_among_others_a_saga_is_written_the_same,
    a_batch_larger_than_a_statement_is_still_one_commit,
    only_winners_leave_journal_labels_and_events,
    one_saga_twice_in_a_batch_wins_once,
    a_write_that_contradicts_itself_is_poison,
    a_row_that_the_database_refuses_is_found_by_halving,
    what_was_committed_is_read_back,
    an_unreadable_row_does_not_touch_its_neighbours,
);

async fn winners_and_losers_share_a_batch(db: Database) {
    let sagas = started(&db.store, 1..=4).await;
    won(&db.store, next(&sagas[1], completed)).await;
    let batch = vec![
        next(&sagas[3], |_| {}),
        next(&sagas[1], |_| {}), // somebody was faster
        start(2),                // there already
        start(9),
        next(&saga(77), |_| {}), // never was
        next(&sagas[0], completed),
    ];
    let results = db.store.commit(&batch).await.unwrap();
    use CommitResult::{Conflict, Won};
    assert_eq!(results, [Won, Conflict, Conflict, Won, Conflict, Won]);
    for (number, version) in [(1, 2), (2, 2), (3, 1), (4, 2), (9, 1)] {
        assert_eq!(assert_gapless(&db.store, id(number)).await.version, version, "saga {number}");
    }
    assert_eq!(db.store.saga(id(77)).await.unwrap(), None);
}

async fn alone_and_among_others_a_saga_is_written_the_same(db: Database) {
    let nameless = |saga: &mut Saga| {
        compensated(saga);
        saga.failure = Some(Failure { step: None, code: String::new(), detail: "none".into() });
    };
    let changes: [fn(&mut Saga); 4] = [|_| {}, completed, compensated, nameless];
    let sagas = started(&db.store, [0, 3, 6, 9, 12, 15, 18, 21]).await;
    let writes: Vec<_> =
        sagas.iter().zip(changes.iter().cycle()).map(|(saga, change)| next(saga, change)).collect();
    let (together, alone) = writes.split_at(4);
    assert_eq!(db.store.commit(together).await.unwrap(), [CommitResult::Won; 4]);
    for write in alone {
        assert_eq!(db.store.commit(&[write]).await.unwrap(), [CommitResult::Won]);
    }
    // Two by two they are alike, but for what each saga has of its own.
    let outside = db.outside().await;
    let kinds = "SELECT version, status, failure_code, failure_step, due_at_ms, held_by, claimed_until_ms, \
                 count(*) AS sagas FROM sagas GROUP BY 1, 2, 3, 4, 5, 6, 7";
    let kinds = outside.query_all_raw(Statement::from_string(outside.get_database_backend(), kinds)).await;
    let counts: Vec<i64> = kinds.unwrap().iter().map(|row| row.try_get("", "sagas").unwrap()).collect();
    assert_eq!(counts, [2; 4]);
    for write in &writes {
        assert_eq!(assert_gapless(&db.store, write.saga.id).await, write.saga);
    }
}

async fn an_empty_batch_is_no_transaction(db: Database) {
    assert_eq!(db.store.commit(&[] as &[amends_store::Write]).await.unwrap(), [] as [CommitResult; 0]);
    let loaded = db.store.load(&[]).await.unwrap();
    assert!(loaded.sagas.is_empty() && loaded.now.unix_ms() > crate::sagas::EPOCH_MS - 365 * 86_400_000);
}

async fn a_batch_larger_than_a_statement_is_still_one_commit(db: Database) {
    let sagas = started(&db.store, 0..700).await;
    let results =
        db.store.commit(&sagas.iter().map(|saga| next(saga, completed)).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(results, [CommitResult::Won; 700]);
    let ids: Vec<SagaId> = sagas.iter().map(|saga| saga.id).collect();
    let loaded = db.store.load(&ids).await.unwrap();
    assert_eq!(loaded.sagas.len(), 700);
    assert!(loaded.sagas.iter().all(|saga| saga.version == 2));
    assert_eq!(db.store.unpublished_events(ANY_TIME, 1_000).await.unwrap().len(), 700);
    assert_gapless(&db.store, id(699)).await;
}

async fn only_winners_leave_journal_labels_and_events(db: Database) {
    let sagas = started(&db.store, [1]).await;
    let mut late = next(&sagas[0], completed);
    late.events.push(crate::sagas::event(&late.saga, "completed"));
    late.expected_version = 4;
    late.saga.version = 5;
    late.entry.seq = 5;
    let mut again = start(1);
    again.saga.labels.insert(crate::sagas::token("second"), "try".to_owned());
    again.events[0].id.push_str("-again");
    for write in [late, again] {
        assert_eq!(db.store.commit(&[write]).await.unwrap(), [CommitResult::Conflict]);
    }
    let events = db.store.unpublished_events(ANY_TIME, 10).await.unwrap();
    assert_eq!(
        events.iter().map(|event| event.message_type.as_str()).collect::<Vec<_>>(),
        ["event.order.created"]
    );
    let labelled =
        SagaFilter { labels: [("second".to_owned(), "try".to_owned())].into(), ..SagaFilter::default() };
    assert!(db.store.sagas(&labelled, None, 10).await.unwrap().rows.is_empty());
    assert_gapless(&db.store, id(1)).await;
}

async fn one_saga_twice_in_a_batch_wins_once(db: Database) {
    let sagas = started(&db.store, [1]).await;
    let batch = vec![next(&sagas[0], |_| {}), next(&sagas[0], completed), start(2), start(2)];
    let results = db.store.commit(&batch).await.unwrap();
    use CommitResult::{Conflict, Won};
    assert_eq!(results, [Won, Conflict, Won, Conflict]);
    assert_eq!(assert_gapless(&db.store, id(1)).await.status().as_str(), "running");
}

async fn a_write_that_contradicts_itself_is_poison(db: Database) {
    let mut skipping = next(&saga(1), |_| {});
    skipping.saga.version = 7;
    let mut stranger = start(2);
    stranger.entry.saga = id(3);
    for write in [skipping, stranger] {
        let error = db.store.commit(&[start(4), write]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Poison, "{error}");
    }
    assert_eq!(db.store.saga(id(4)).await.unwrap(), None);
}

async fn a_row_that_the_database_refuses_is_found_by_halving(db: Database) {
    let sagas = started(&db.store, 1..=8).await;
    // A second history: the journal already has the line that saga 5 is about to write.
    db.damage(
        "INSERT INTO journal (saga_id, seq, entry) SELECT saga_id, 2, entry FROM journal WHERE saga_id = \
         (SELECT id FROM sagas ORDER BY id LIMIT 1 OFFSET 4)",
    )
    .await;
    let mut parts = vec![sagas.iter().map(|saga| next(saga, completed)).collect::<Vec<_>>()];
    let mut refused = Vec::new();
    while let Some(mut part) = parts.pop() {
        match db.store.commit(&part).await {
            Ok(results) => assert!(results.iter().all(|result| *result == CommitResult::Won)),
            Err(error) if error.is_poison() && part.len() > 1 => {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
            }
            Err(error) if error.is_poison() => refused.push(part[0].saga.id),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(refused, [id(5)]);
    for number in [1, 2, 3, 4, 6, 7, 8] {
        assert_eq!(assert_gapless(&db.store, id(number)).await.version, 2);
    }
    assert_eq!(db.store.saga(id(5)).await.unwrap().unwrap().version, 1);
}

async fn what_was_committed_is_read_back(db: Database) {
    let mut first = saga(1);
    // Longer than any index takes, and hostile to everything that quotes.
    first.labels.insert(crate::sagas::token("note"), "ü'\"\\%_;--".repeat(1_000));
    let first = won(&db.store, start_of(first)).await;
    let second = won(&db.store, next(&first, crate::sagas::compensated)).await;
    assert_eq!(db.store.saga(id(1)).await.unwrap(), Some(second));
    let journal = db.store.journal(id(1), 0, 10).await.unwrap();
    assert_eq!(journal[1].entry, Ok(next(&first, crate::sagas::compensated).entry));
    let seqs = |rows: Vec<amends_store::JournalRow>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(seqs(db.store.journal(id(1), 1, 10).await.unwrap()), [2]);
    assert_eq!(seqs(db.store.journal(id(1), 0, 1).await.unwrap()), [1]);
    assert!(db.store.journal(id(2), 0, 1).await.unwrap().is_empty());
}

async fn an_unreadable_row_does_not_touch_its_neighbours(db: Database) {
    started(&db.store, 1..=3).await;
    db.damage("UPDATE sagas SET state = '{\"no\": \"saga\"}' WHERE id = (SELECT id FROM sagas ORDER BY id LIMIT 1 OFFSET 1)").await;
    db.damage("UPDATE journal SET entry = '[]' WHERE saga_id = (SELECT id FROM sagas ORDER BY id LIMIT 1)")
        .await;
    let loaded = db.store.load(&[id(3), id(2), id(1)]).await.unwrap();
    assert_eq!(loaded.sagas.len(), 2);
    assert_eq!(loaded.unreadable.iter().map(|row| row.id).collect::<Vec<_>>(), [id(2)]);
    let error = db.store.saga(id(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreadable);
    assert!(error.to_string().contains(&id(2).to_string()), "{error}");
    let page = db.store.sagas(&SagaFilter::default(), None, 10).await.unwrap();
    let readable: Vec<(SagaId, bool)> = page.rows.iter().map(|row| (row.id, row.saga.is_ok())).collect();
    assert_eq!(readable, [(id(3), true), (id(2), false), (id(1), true)]);
    assert_eq!(page.rows[1].definition, "order.v1");
    let claimed = db.store.claim_due(10, 60_000, &[]).await.unwrap();
    assert_eq!((claimed.sagas.len(), claimed.unreadable.len()), (2, 1));
    let journal = db.store.journal(id(1), 0, 10).await.unwrap();
    assert!(journal[0].entry.is_err() && journal[0].seq == 1);
}
