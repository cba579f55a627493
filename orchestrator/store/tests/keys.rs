//! Idempotency keys and API keys.

use amends_contract::Digest;
use amends_store::{CommitResult, ErrorKind, NewApiKey, Write};

use crate::database::Database;
use crate::sagas::{at, id, key, saga, start, started};

on_both_databases!(
    a_key_starts_one_saga_within_a_batch_and_across,
    the_key_of_a_saga_that_lost_is_free_again,
    a_start_that_is_tried_again_after_an_unknown_outcome_is_no_duplicate,
    an_api_key_is_made_found_used_and_revoked,
);

fn keyed(number: u32, owner: u32, text: &str) -> Write {
    Write { idempotency: Some(key(owner, text)), ..start(number) }
}

async fn a_key_starts_one_saga_within_a_batch_and_across(db: Database) {
    use CommitResult::{DuplicateKey, Won};
    let batch = vec![
        keyed(3, 1, "a"), // the first of the batch wins, not the lowest id
        keyed(1, 1, "a"),
        keyed(2, 1, "b"),
        keyed(4, 2, "a"), // another caller's key is another key
        start(5),
    ];
    let results = db.store.commit(&batch).await.unwrap();
    assert_eq!(results, [Won, DuplicateKey, Won, Won, Won]);
    let results = db.store.commit(&[keyed(6, 1, "b"), keyed(7, 1, "c")]).await.unwrap();
    assert_eq!(results, [DuplicateKey, Won]);
    for lost in [1, 6] {
        assert_eq!(db.store.saga(id(lost)).await.unwrap(), None);
        assert!(db.store.journal(id(lost), 0, 9).await.unwrap().is_empty());
    }
    let answer = db.store.idempotency(id(1).uuid(), "a").await.unwrap().unwrap();
    assert_eq!(answer.saga, id(3));
    assert_eq!(answer.answer, r#"{"told":"a"}"#);
    assert_eq!((answer.body_digest, answer.created_at), (Digest::of(b"a"), at(3)));
    assert_eq!(db.store.idempotency(id(2).uuid(), "b").await.unwrap(), None);
    let asked =
        [(1, "a"), (1, "x"), (2, "a"), (2, "b")].map(|(owner, key)| (id(owner).uuid(), key.to_owned()));
    let known = db.store.known_keys(asked.clone()).await.unwrap();
    assert_eq!(known, [asked[0].clone(), asked[2].clone()].into());
    assert!(db.store.known_keys([]).await.unwrap().is_empty());
}

async fn the_key_of_a_saga_that_lost_is_free_again(db: Database) {
    started(&db.store, [1]).await;
    let results = db.store.commit(&[keyed(1, 1, "a"), keyed(2, 1, "b")]).await.unwrap();
    assert_eq!(results, [CommitResult::Conflict, CommitResult::Won]);
    assert_eq!(db.store.idempotency(id(1).uuid(), "a").await.unwrap(), None);
    assert_eq!(db.store.commit(&[keyed(3, 1, "a")]).await.unwrap(), [CommitResult::Won]);
}

async fn a_start_that_is_tried_again_after_an_unknown_outcome_is_no_duplicate(db: Database) {
    assert_eq!(db.store.commit(&[keyed(1, 1, "a")]).await.unwrap(), [CommitResult::Won]);
    // The caller does not know that it won: it must be told to look, not that somebody else has the key.
    assert_eq!(db.store.commit(&[keyed(1, 1, "a")]).await.unwrap(), [CommitResult::Conflict]);
    assert_eq!(db.store.saga(id(1)).await.unwrap(), Some(saga(1)));
    assert_eq!(db.store.idempotency(id(1).uuid(), "a").await.unwrap().unwrap().saga, id(1));
}

async fn an_api_key_is_made_found_used_and_revoked(db: Database) {
    let new = |number: u32, prefix: &str| NewApiKey {
        id: id(number).uuid(),
        name: "the shop".to_owned(),
        prefix: prefix.to_owned(),
        hash: Digest::of(prefix.as_bytes()),
        scopes: vec!["order".to_owned(), "operate".to_owned()],
    };
    let made = db.store.insert_api_key(new(1, "am_one")).await.unwrap();
    db.store.insert_api_key(new(2, "am_two")).await.unwrap();
    let error = db.store.insert_api_key(new(3, "am_one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poison, "{error}");
    assert_eq!(db.store.find_api_key("am_one").await.unwrap(), Some(made.clone()));
    assert_eq!(db.store.find_api_key("am_").await.unwrap(), None);
    assert!(!format!("{made:?}").contains(&made.hash.to_string()));

    db.store.touch_api_key(&made).await.unwrap();
    let used = db.store.find_api_key("am_one").await.unwrap().unwrap();
    assert!(used.last_used_at >= Some(made.created_at));

    let revoked = db.store.revoke_api_key("am_one").await.unwrap();
    assert!(revoked.revoked_at.is_some());
    assert_eq!(db.store.revoke_api_key("am_one").await.unwrap(), revoked);
    assert_eq!(db.store.revoke_api_key("am_six").await.unwrap_err().kind(), ErrorKind::NoSuchKey);
    let listed = db.store.api_keys().await.unwrap();
    let listed: Vec<(&str, bool)> =
        listed.iter().map(|key| (key.prefix.as_str(), key.revoked_at.is_some())).collect();
    assert_eq!(listed, [("am_one", true), ("am_two", false)]);
}
