//! More is asked for than can be done: who is refused, who is not, and what they are told.

use std::time::Duration;

use amends_broker::Request;
use amends_service::HttpConfig;
use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};

use super::super::services::Services;
use super::problem;
use super::world::{Answer, World, all_well, order};

/// So that what a test finds does not depend on when the broker, which is away, is looked at.
const NEVER_MS: u64 = 3_600_000;

/// A world in which at most so many sagas move.
async fn at_most(moving_max: u64) -> World {
    World::with(|config| {
        config.loops.moving_max = moving_max;
        config.loops.moving_interval_ms = NEVER_MS;
    })
    .await
}

fn is_refused(answer: &Answer) {
    assert_eq!(problem(answer), "503 overloaded []");
    let seconds: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=20).contains(&seconds), "{seconds}");
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let world = World::with(|config| config.loops.submissions_max = 1).await;
    let keys: Vec<String> = (0..50).map(|number| format!("k{number}")).collect();
    let body = order("c-1", 1);
    let answers = join_all(keys.iter().map(|key| world.order(key, &body))).await;
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != StatusCode::ACCEPTED).collect();
    assert!(!refused.is_empty() && refused.len() < answers.len(), "{}", refused.len());
    refused.into_iter().for_each(is_refused);
}

#[tokio::test]
async fn beyond_what_may_move_nothing_begins_and_whoever_was_accepted_keeps_its_answer() {
    let world = at_most(2).await;
    // The first start has the broker looked at, which is away.
    world.order("first", &order("c-1", 1)).await;
    let mut accepted = Vec::new();
    let refused = loop {
        let key = format!("k{}", accepted.len());
        let answer = world.order(&key, &order("c-1", 1)).await;
        if answer.status != StatusCode::ACCEPTED {
            break answer;
        }
        accepted.push((key, answer));
    };
    is_refused(&refused);
    assert!((1..=3).contains(&accepted.len()), "{}", accepted.len());
    let count = world.get("/v1/orders", &[]).await.body["orders"].as_array().unwrap().len();
    assert_eq!(count, 1 + accepted.len(), "what was refused is not written");

    for (key, first) in &accepted {
        let again = world.order(key, &order("c-1", 1)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("idempotency-replayed"), "true");
        let other = world.order(key, &order("c-1", 2)).await;
        assert!(problem(&other).starts_with("422 idempotency-key-reused"), "{other:?}");
    }
    is_refused(&world.order("another", &order("c-1", 1)).await);
    assert_eq!(world.get_admin("/readyz").await.status, StatusCode::OK, "no balancer shall take it away");
}

#[tokio::test]
async fn the_service_subjects_refuse_in_the_same_words() {
    let world = at_most(1).await;
    let services = Services::new(&world.app, &HttpConfig::on_port(0));
    let ask = async |key: &str, crowded: bool| {
        let mut input = order("c-1", 1);
        input["total"] = json!({ "amount": 1999, "currency": "EUR" });
        input["payment_token"] = json!("tok_visa");
        let body = json!({ "definition": "order", "input": input, "idempotency_key": key });
        let (endpoint, body) = ("start".to_owned(), body.to_string().into());
        let answer = services.answer(Request { endpoint, traceparent: None, body, crowded }).await;
        (serde_json::from_slice::<Value>(&answer.body).unwrap(), answer)
    };
    let mut number = 0;
    let (problem, answer) = loop {
        number += 1;
        let (body, answer) = ask(&format!("k{number}"), false).await;
        if answer.error.is_some() {
            break (body, answer);
        }
    };
    assert_eq!(problem["code"], "overloaded");
    assert!(answer.error.is_some_and(|(code, text)| code == 503 && text.starts_with("overloaded: ")));
    assert!(answer.retry_after_s.is_some_and(|seconds| seconds >= 1));
    let (first, again) = ask("k1", false).await;
    assert_eq!((again.error, &first["status"]), (None, &json!("running")), "it was accepted");

    let (problem, crowded) = ask("k1", true).await;
    assert_eq!((&problem["code"], crowded.error.map(|(code, _)| code)), (&json!("overloaded"), Some(503)));
    assert!(crowded.retry_after_s.is_some_and(|seconds| seconds >= 1));
}

#[tokio::test]
async fn of_too_many_who_would_wait_the_rest_is_answered_at_once() {
    let world = World::with(|config| config.api.waits_max = 1).await;
    let headers = |key| [("idempotency-key", key), ("prefer", "wait=30")];
    let body = order("c-1", 1);
    let (first, second) = (headers("k1"), headers("k2"));
    let waiting = world.post("/v1/orders", &first, &body);
    let rest = async {
        // The place is taken when the order is there.
        let id = loop {
            let orders = world.get("/v1/orders", &[]).await.body;
            match orders["orders"][0]["id"].as_str() {
                Some(id) => break id.to_owned(),
                None => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        let at_once = world.post("/v1/orders", &second, &body).await;
        assert_eq!((at_once.status, at_once.header("preference-applied")), (StatusCode::ACCEPTED, ""));
        world.settle(&id, all_well).await;
    };
    let (waited, ()) = tokio::join!(waiting, rest);
    assert_eq!((waited.status, waited.header("preference-applied")), (StatusCode::OK, "wait=30"));
    assert_eq!(waited.body["status"], "confirmed");
}
