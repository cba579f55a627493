//! One key, one order: whoever asks again, in whatever way, gets the same.

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::json;

use super::problem;
use super::world::{World, order};
use crate::idempotency::Key;
use crate::keys::Scope;

#[tokio::test]
async fn the_same_key_gives_the_first_answer_again() {
    let world = World::new().await;
    let first = world.order("once", &order("c-1", 1)).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (StatusCode::ACCEPTED, ""));
    let second = world.order("once", &order("c-1", 1)).await;
    assert_eq!((second.status, &second.text), (StatusCode::ACCEPTED, &first.text));
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(world.get("/v1/orders", &[]).await.body["orders"].as_array().unwrap().len(), 1);

    // The same content, spelled in another way.
    let mut spelled = order("c-1", 1);
    spelled["payment_token"] = json!("tok_on_file");
    assert_eq!(world.order("once", &spelled).await.text, first.text);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused() {
    let world = World::new().await;
    let id = world.order("once", &order("c-1", 1)).await.id();
    let expected = format!("422 idempotency-key-reused [header:idempotency-key: it belongs to {id}]");
    assert_eq!(problem(&world.order("once", &order("c-1", 2)).await), expected);
    let saga = json!({ "definition": "order", "input": world.core.store().saga(id.parse().unwrap()).await.unwrap().unwrap().input });
    let other = world.post("/v1/sagas", &[("idempotency-key", "once")], &saga).await;
    assert_eq!(problem(&other), expected, "another operation is another request");
}

#[tokio::test]
async fn a_key_belongs_to_its_caller() {
    let world = World::new().await;
    let other = format!("Bearer {}", world.make_key(Scope::Order).await);
    let mine = world.order("once", &order("c-1", 1)).await.id();
    let headers = [("idempotency-key", "once"), ("authorization", other.as_str())];
    let theirs = world.post("/v1/orders", &headers, &order("c-1", 2)).await;
    assert_eq!(theirs.status, StatusCode::ACCEPTED, "{theirs:?}");
    assert_ne!(theirs.id(), mine);
}

#[tokio::test]
async fn many_at_once_start_one() {
    let world = World::new().await;
    let body = order("c-1", 1);
    let answers = join_all((0..20).map(|_| world.order("once", &body))).await;
    let mut ids = Vec::new();
    for answer in answers {
        match answer.status {
            StatusCode::ACCEPTED => ids.push(answer.id()),
            _ => {
                assert_eq!(problem(&answer), "409 idempotency-key-in-flight []");
                assert_eq!(answer.header("retry-after"), "1");
            }
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(world.get("/v1/orders", &[]).await.body["orders"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn while_the_first_is_in_flight_others_are_told_to_come_back() {
    let world = World::new().await;
    let owner = world.core.store().api_keys().await.unwrap()[0].id;
    let held = world.app.in_flight.hold(owner, &Key::new(b"once").unwrap()).unwrap();
    let answer = world.order("once", &order("c-1", 1)).await;
    assert_eq!(problem(&answer), "409 idempotency-key-in-flight []");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(world.order("another", &order("c-1", 1)).await.status, StatusCode::ACCEPTED);
    drop(held);
    assert_eq!(world.order("once", &order("c-1", 1)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn the_key_is_needed_and_has_bounds() {
    let world = World::new().await;
    let missing = world.post("/v1/orders", &[], &order("c-1", 1)).await;
    assert_eq!(problem(&missing), "400 missing-idempotency-key [header:idempotency-key: it is missing]");
    let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
    let twice = world.post("/v1/orders", &twice, &order("c-1", 1)).await;
    assert_eq!(problem(&twice), "400 invalid-header [header:idempotency-key: exactly one is expected]");
    let expected = "400 invalid-header [header:idempotency-key: 1 to 255 visible ASCII characters are expected, \
                    such as a UUID]";
    for wrong in [String::new(), "k".repeat(256), "a b".to_owned(), "schlüssel".to_owned()] {
        assert_eq!(problem(&world.order(&wrong, &order("c-1", 1)).await), expected, "{wrong:?}");
    }
    assert_eq!(world.order(&"k".repeat(255), &order("c-1", 1)).await.status, StatusCode::ACCEPTED);
}
