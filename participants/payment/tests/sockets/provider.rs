//! The simulated provider over real sockets: keys, concurrency, refusals, restarts.
//!
//! Invariant under test: money is taken at most once per key and given back at most once per charge.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

const CREATED: StatusCode = StatusCode::CREATED;

#[tokio::test]
async fn a_charge_is_made_once_per_key() {
    let server = Server::start().await;
    let first = server.charge("k1", "tok_visa").await;
    assert_eq!((first.status, first.replayed), (CREATED, false));
    let again = server.charge("k1", "tok_visa").await;
    assert_eq!((again.status, again.replayed), (CREATED, true));
    assert_eq!(first.body, again.body);
    assert_eq!(server.books().await["totals"]["EUR"]["captured"], 1_999);
}

#[tokio::test]
async fn many_at_once_under_one_key_are_one_charge() {
    let server = Server::start().await;
    let calls = (0..20).map(|_| server.charge("k1", "tok_visa"));
    let answers = futures_join(calls).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(server.list("charges").await.len(), 1);
}

#[tokio::test]
async fn many_refunds_at_once_are_one() {
    let server = Server::start().await;
    server.charge("c", "tok_visa").await;
    let keys: Vec<String> = (0..20).map(|n| format!("r{}", n % 5)).collect();
    let answers = futures_join(keys.iter().map(|key| server.refund(key, "c"))).await;
    let done = answers.iter().filter(|answer| answer.status == CREATED).count();
    assert_eq!(done, 4, "the key that won, four times");
    assert!(
        answers
            .iter()
            .filter(|answer| answer.status != CREATED)
            .all(|answer| answer.code() == "charge_already_refunded"
                && answer.body["error"]["refund_id"].is_string())
    );
    assert_eq!(server.list("refunds").await.len(), 1);
    let books = server.books().await;
    assert_eq!(books["totals"]["EUR"]["net"], 0);
    assert_eq!(
        books["keys"]["items"][0],
        json!({
            "key": "c", "currency": "EUR", "captured": 1_999, "refunded": 1_999, "net": 0,
        })
    );
}

#[tokio::test]
async fn a_refusal_is_stored_and_takes_nothing() {
    let server = Server::start().await;
    for (key, token, code) in
        [("k1", "tok_declined", "card_declined"), ("k2", "tok_insufficient", "insufficient_funds")]
    {
        for replayed in [false, true] {
            let answer = server.charge(key, token).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::PAYMENT_REQUIRED, code));
            assert_eq!(answer.replayed, replayed);
        }
        assert_eq!(server.refund(&format!("r-{key}"), key).await.code(), "charge_not_found");
    }
    assert_eq!(server.books().await["totals"], json!({}));
    assert_eq!(server.list("charges").await.len(), 2);
}

#[tokio::test]
async fn a_stored_500_stays_and_another_one_goes() {
    let server = Server::start().await;
    server.switch(json!({ "store_500": true })).await;
    assert_eq!(server.charge("k1", "tok_visa").await.status, 500);
    server.switch(json!({ "failure_rate": 1.0 })).await;
    let failed = server.charge("k2", "tok_visa").await;
    assert_eq!((failed.status.as_u16(), failed.replayed), (500, false));
    server.switch(json!({})).await;
    let stored = server.charge("k1", "tok_visa").await;
    assert_eq!((stored.status.as_u16(), stored.replayed, stored.code()), (500, true, "processing_error"));
    assert_eq!(server.charge("k2", "tok_visa").await.status, CREATED);
    assert_eq!(server.books().await["totals"]["EUR"]["charges"], 1);
}

#[tokio::test]
async fn what_is_down_does_nothing() {
    let server = Server::start().await;
    server.switch(json!({ "down": true })).await;
    let down = server.charge("k1", "tok_visa").await;
    assert_eq!((down.status.as_u16(), down.code()), (503, "unavailable"));
    assert_eq!(server.list("charges").await, Vec::<Value>::new());
}

#[tokio::test]
async fn books_outlive_the_server() {
    let mut server = Server::start().await;
    let before = server.charge("k1", "tok_visa").await;
    server.charge("k2", "tok_declined").await;
    server.refund("r1", "k1").await;
    let books = server.books().await;
    server.restart().await;
    assert_eq!(server.books().await, books);
    let after = server.charge("k1", "tok_visa").await;
    assert_eq!((after.replayed, &after.body), (true, &before.body));
    assert!(server.refund("r1", "k1").await.replayed);
    assert_eq!(server.refund("r2", "k1").await.code(), "charge_already_refunded");
}

#[tokio::test]
async fn nonsense_is_answered_by_name_and_stores_nothing() {
    let server = Server::start().await;
    let good = json!({ "amount": 1, "currency": "EUR", "customer": "c", "token": "tok_visa" });
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    for (body, status, code) in [
        (with("amount", json!(-1)), 422, "invalid_request"),
        (with("amount", json!("1")), 400, "invalid_request"),
        (with("currency", json!("EURO")), 422, "invalid_request"),
        (with("colour", json!("red")), 400, "invalid_request"),
        (json!([]), 400, "invalid_request"),
    ] {
        let answer = server.post("charges", Some("k1"), &body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (status, code), "{body}");
    }
    assert_eq!(server.post("charges", None, &good).await.code(), "idempotency_key_missing");
    assert_eq!(server.post("charges", Some(&"k".repeat(256)), &good).await.code(), "idempotency_key_missing");
    let long = with("customer", json!("c".repeat(20_000)));
    assert_eq!(server.post("charges", Some("k1"), &long).await.status.as_u16(), 400);
    assert_eq!(server.post("charges", Some("k1"), &good).await.status, CREATED);
    let other = server.post("charges", Some("k1"), &with("amount", json!(2))).await;
    assert_eq!((other.status.as_u16(), other.code()), (422, "idempotency_key_reuse"));
    assert_eq!(server.list("charges").await.len(), 1);
}

#[tokio::test]
async fn switches_are_checked_and_shown() {
    let server = Server::start().await;
    for wrong in [json!({ "failure_rate": 2 }), json!({ "latency_ms": 600_001 }), json!({ "dwon": true })] {
        let status = server.put("switches", &wrong).await.0;
        assert!(status.is_client_error(), "{wrong}: {status}");
    }
    server.switch(json!({ "decline_rate": 1.0 })).await;
    assert_eq!(server.get("switches").await["decline_rate"], 1.0);
    assert_eq!(server.charge("k1", "tok_visa").await.code(), "card_declined");
}

#[tokio::test]
async fn lists_go_page_by_page() {
    let server = Server::start().await;
    for n in 0..5 {
        server.charge(&format!("k{n}"), "tok_visa").await;
    }
    let mut keys = Vec::new();
    let mut after = 0;
    loop {
        let page = server.get(&format!("charges?limit=2&after={after}")).await;
        keys.extend(page["items"].as_array().unwrap().iter().map(|item| item["key"].clone()));
        match page["next"].as_i64() {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(keys, ["k0", "k1", "k2", "k3", "k4"]);
}

async fn futures_join<T: Send + 'static>(calls: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let calls: Vec<_> = calls.collect();
    futures::future::join_all(calls).await
}
