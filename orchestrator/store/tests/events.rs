//! The outbox: order, marks, publishing again, pruning.

use amends_contract::{Envelope, Event, Timestamp};
use amends_store::{CommitResult, OutboxRow, Store};

use crate::database::Database;
use crate::sagas::{completed, event, next, start, started, won};

on_both_databases!(
    events_come_out_in_the_order_of_their_commits,
    events_are_told_of_with_their_places_and_young_ones_are_left_to_whoever_was_told,
    what_was_published_since_a_moment_comes_out_again,
    old_events_are_pruned_and_unpublished_ones_never,
    the_stored_message_is_the_event,
);

fn ids(rows: &[OutboxRow]) -> Vec<String> {
    rows.iter().map(|row| row.event_id.split_once('/').unwrap().1.to_owned()).collect()
}

/// Later than everything.
pub(crate) const ANY_TIME: Timestamp = Timestamp::from_unix_ms(i64::MAX);

/// Six events: `created` of two sagas, then four of the first.
async fn six_events(store: &Store) -> Vec<OutboxRow> {
    let mut saga = started(store, 1..=2).await.swap_remove(0);
    for name in ["b", "c"] {
        let mut write = next(&saga, |_| {});
        write.events = vec![event(&write.saga, name), event(&write.saga, "d")];
        saga = won(store, write).await;
    }
    store.unpublished_events(ANY_TIME, 100).await.unwrap()
}

async fn events_come_out_in_the_order_of_their_commits(db: Database) {
    let rows = six_events(&db.store).await;
    assert_eq!(ids(&rows), ["1/created", "1/created", "2/b", "2/d", "3/c", "3/d"]);
    let first = db.store.unpublished_events(ANY_TIME, 2).await.unwrap();
    assert_eq!(first, rows[..2]);
    db.store.mark_events_published(&[rows[0].seq, rows[2].seq, rows[3].seq]).await.unwrap();
    let left = db.store.unpublished_events(ANY_TIME, 100).await.unwrap();
    assert_eq!(ids(&left), ["1/created", "3/c", "3/d"]);
    db.store.mark_events_published(&left.iter().map(|row| row.seq).collect::<Vec<_>>()).await.unwrap();
    db.store.mark_events_published(&[]).await.unwrap();
    assert!(db.store.unpublished_events(ANY_TIME, 100).await.unwrap().is_empty());
}

async fn events_are_told_of_with_their_places_and_young_ones_are_left_to_whoever_was_told(db: Database) {
    let results = db.store.commit(&[start(1), start(2)]).await.unwrap();
    let told: Vec<OutboxRow> = results.into_iter().flat_map(|committed| committed.events).collect();
    assert_eq!(told, db.store.unpublished_events(ANY_TIME, 10).await.unwrap());
    assert_eq!(ids(&told), ["1/created", "1/created"]);
    let second = told[1].created_at;
    db.damage(&format!("UPDATE event_outbox SET created_at_ms = 1000 WHERE seq = {}", told[0].seq)).await;
    assert_eq!(db.store.unpublished_events(second.minus_ms(1), 10).await.unwrap().len(), 1);
    assert_eq!(db.store.unpublished_events(second, 10).await.unwrap().len(), 2);
    // A loser's are not written.
    let lost = db.store.commit(&[start(1)]).await.unwrap();
    assert!(lost[0] == CommitResult::Conflict && lost[0].events.is_empty(), "{lost:?}");
}

async fn what_was_published_since_a_moment_comes_out_again(db: Database) {
    // So few rows at a time that several statements are needed.
    let store = db.with(|config| config.housekeeping_rows_max = 2).await;
    let rows = six_events(&store).await;
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    store.mark_events_published(&seqs[..5]).await.unwrap();
    db.damage(&format!("UPDATE event_outbox SET published_at_ms = 1000 WHERE seq = {}", seqs[0])).await;
    let now = store.now().await.unwrap();
    assert_eq!(store.republish_events(now.plus_ms(60_000)).await.unwrap(), 0);
    assert_eq!(store.republish_events(now.minus_ms(60_000)).await.unwrap(), 4);
    let offered = store.unpublished_events(ANY_TIME, 100).await.unwrap();
    assert_eq!(offered, rows[1..]);
}

async fn old_events_are_pruned_and_unpublished_ones_never(db: Database) {
    let store = db.with(|config| config.housekeeping_rows_max = 2).await;
    let rows = six_events(&store).await;
    let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
    store.mark_events_published(&seqs[..5]).await.unwrap();
    db.damage(&format!("UPDATE event_outbox SET published_at_ms = 1000 WHERE seq <= {}", seqs[2])).await;
    assert_eq!(store.prune_events(86_400_000).await.unwrap(), 3);
    assert_eq!(store.prune_events(86_400_000).await.unwrap(), 0);
    assert_eq!(store.unpublished_events(ANY_TIME, 100).await.unwrap(), rows[5..]);
    assert_eq!(store.republish_events(Timestamp::from_unix_ms(0)).await.unwrap(), 2);
}

async fn the_stored_message_is_the_event(db: Database) {
    let mut write = start(1);
    write.events[0].data = serde_json::json!({ "text": "grüße, '\"\\" }).into();
    let sent: Event = write.events[0].clone();
    let saga = won(&db.store, write).await;
    won(&db.store, next(&saga, completed)).await;
    let rows = db.store.unpublished_events(ANY_TIME, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].envelope.as_bytes(), sent.to_envelope().encode());
    assert_eq!((&rows[0].event_id, rows[0].message_type.as_str()), (&sent.id, "event.order.created"));
    let envelope = Envelope::decode(rows[0].envelope.as_bytes()).unwrap();
    assert_eq!(Event::from_envelope(envelope), Ok(sent));
}
