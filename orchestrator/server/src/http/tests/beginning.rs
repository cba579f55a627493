//! When a saga begins, and definitions of which none may begin for a while.

use axum::http::StatusCode;
use serde_json::{Value, json};

use amends_contract::Timestamp;

use super::problem;
use super::world::{World, all_well, order};

/// Longer than anything takes; it only keeps a hang from being silent.
const HANG: std::time::Duration = std::time::Duration::from_secs(60);

const SEVENTY_TWO_HOURS_MS: u64 = 72 * 3_600_000;

async fn in_ms(world: &World, ms: u64) -> Timestamp {
    world.core.store().now().await.unwrap().plus_ms(ms)
}

#[tokio::test]
async fn a_saga_begins_at_its_moment() {
    let world = World::new().await;
    let at = in_ms(&world, 3_600_000).await;
    let mut body = order("c-1", 1);
    body["start_at"] = json!(at);
    let taken = world.order("k1", &body).await;
    assert_eq!((taken.status, &taken.body["start_at"]), (StatusCode::ACCEPTED, &json!(at)), "{taken:?}");
    assert_eq!(world.order("k1", &body).await.header("idempotency-replayed"), "true");
    let mut sooner = body.clone();
    sooner["start_at"] = json!(in_ms(&world, 1_800_000).await);
    assert!(problem(&world.order("k1", &sooner).await).starts_with("422 idempotency-key-reused"));
    assert!(problem(&world.order("k1", &order("c-1", 1)).await).starts_with("422 idempotency-key-reused"));

    let id = taken.id();
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!((&saga["start_at"], &saga["due_at"]), (&json!(at), &json!(at)));
    assert_eq!(saga["steps"][0]["action"]["state"], "waiting");
    let now = json!({ "action": "skip-wait", "reason": "the customer came early" });
    let begun = world.post_admin(&format!("/v1/sagas/{id}/actions"), &[], &now).await;
    assert_eq!(begun.body["steps"][0]["action"]["state"], "sent", "{begun:?}");
    world.settle(&id, all_well).await;
    let shown = world.get(&format!("/v1/orders/{id}"), &[]).await.body;
    assert_eq!((&shown["status"], shown.get("start_at")), (&json!("confirmed"), None));
}

#[tokio::test]
async fn a_moment_that_cannot_be_is_said() {
    let world = World::new().await;
    let start = async |key: &str, at: Value| {
        let body = json!({ "definition": "order", "start_at": at, "input": {
            "customer_id": "c-1", "email": "ada@example.com", "payment_token": "tok", "lines": order("c-1", 1)["lines"],
            "total": { "amount": 1999, "currency": "EUR" },
        } });
        world.post("/v1/sagas", &[("idempotency-key", key)], &body).await
    };
    let past = start("k1", json!("2020-01-01T00:00:00Z")).await;
    assert_eq!(
        problem(&past),
        "400 invalid-start [#/start_at: 2020-01-01T00:00:00.000Z has passed; leave start_at out to begin at once]"
    );
    // 30 days, less the deadline of 24 h and 72 h for settling.
    let horizon_ms = 30 * 24 * 3_600_000;
    let latest_ms = horizon_ms - 24 * 3_600_000 - SEVENTY_TWO_HOURS_MS;
    let late = start("k2", json!(in_ms(&world, latest_ms + 60_000).await)).await;
    let said = problem(&late);
    assert!(said.starts_with("400 invalid-start [#/start_at: the latest moment is "), "{said}");
    assert!(said.contains("the deadline of 86400 s that order.v1 has"), "{said}");
    let fits = start("k3", json!(in_ms(&world, latest_ms - 60_000).await)).await;
    assert_eq!(fits.status, StatusCode::ACCEPTED, "{fits:?}");
    assert!(problem(&start("k4", json!("soon")).await).starts_with("400 invalid-body [#/start_at: "));
}

#[tokio::test]
async fn a_moment_that_has_passed_is_no_other_answer_to_the_same_key() {
    let world = World::new().await;
    let at = in_ms(&world, 400).await;
    let mut body = order("c-1", 1);
    body["start_at"] = json!(at);
    let first = world.order("k1", &body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    while world.core.store().now().await.unwrap() <= at {
        tokio::task::yield_now().await;
    }
    let again = world.order("k1", &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &first.body), "{again:?}");
}

/// Says something about a definition and expects that it is heard.
async fn say(world: &World, definition: &str, what: &str) -> Value {
    let body = json!({ "reason": format!("we {what}") });
    let said = world.post_admin(&format!("/v1/definitions/{definition}/{what}"), &[], &body).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    said.body
}

/// Waits until this saga is paused, or is not.
async fn until_paused(world: &World, id: &str, by: &Value) -> Value {
    let look = async {
        loop {
            let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
            if saga["paused"]["by"] == *by {
                return saga;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(HANG, look).await.unwrap_or_else(|_| panic!("{id} is never paused by {by}"))
}

#[tokio::test]
async fn a_definition_that_is_paused_begins_nothing_and_stops_what_is_open() {
    let world = World::with(|config| config.loops.pause_interval_ms = 20).await;
    let first = world.order("k1", &order("c-1", 1)).await;
    let id = first.id();
    let said = say(&world, "order", "pause").await;
    assert_eq!((&said["paused"], &said["reason"]), (&json!(true), &json!("we pause")));
    let paused = until_paused(&world, &id, &json!("definition")).await;
    assert_eq!((&paused["flags"], &paused["due_at"]), (&json!(["paused"]), &Value::Null));

    let refused = world.order("k2", &order("c-1", 1)).await;
    assert_eq!(problem(&refused), "503 definition-paused []");
    assert!(refused.body["detail"].as_str().unwrap().contains("we pause"), "{refused:?}");
    assert_eq!(refused.header("retry-after"), "30");
    let again = world.order("k1", &order("c-1", 1)).await;
    assert_eq!((again.status, &again.body), (StatusCode::ACCEPTED, &first.body), "its key has its answer");
    let listed = world.get_admin("/v1/definitions").await.body;
    let mut items = listed["definitions"].as_array().unwrap().iter();
    let item = items.find(|item| item["name"] == "order").unwrap();
    assert_eq!(item["paused"]["reason"], "we pause");

    say(&world, "order", "resume").await;
    until_paused(&world, &id, &Value::Null).await;
    assert_eq!(world.order("k2", &order("c-1", 1)).await.status, StatusCode::ACCEPTED);
    let journal = world.get_admin(&format!("/v1/sagas/{id}/journal")).await.body;
    let told: Vec<_> = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["input"]["kind"] == "operator")
        .map(|entry| (entry["input"]["reason"].as_str().unwrap(), entry["input"]["actor"].as_str().unwrap()))
        .collect();
    let actor = format!("tests ({})", &world.key[..16]);
    assert_eq!(told, [("we pause", actor.as_str()), ("we resume", actor.as_str())]);
    world.settle(&id, all_well).await;
}

#[tokio::test]
async fn a_saga_that_its_operator_paused_stays_where_it_is() {
    let world = World::with(|config| config.loops.pause_interval_ms = 20).await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let act = async |action: &str| {
        let body = json!({ "action": action, "reason": "by itself" });
        world.post_admin(&format!("/v1/sagas/{id}/actions"), &[], &body).await
    };
    assert_eq!(act("pause").await.body["paused"]["by"], "operator");
    say(&world, "order.v1", "pause").await;
    until_paused(&world, &id, &json!("both")).await;
    assert_eq!(act("resume").await.body["paused"]["by"], "definition");
    say(&world, "order", "resume").await;
    until_paused(&world, &id, &Value::Null).await;
}

#[tokio::test]
async fn what_cannot_be_paused_or_resumed_is_said() {
    let world = World::new().await;
    let ask = async |path: &str, body: Value| {
        problem(&world.post_admin(&format!("/v1/definitions/{path}"), &[], &body).await)
    };
    let why = json!({ "reason": "why not" });
    assert_eq!(ask("nothing/pause", why.clone()).await, "404 not-found []");
    assert_eq!(ask("order.v9/pause", why.clone()).await, "404 not-found []");
    assert!(ask("Order/pause", why.clone()).await.starts_with("400 invalid-path [path:"));
    assert!(ask("order/pause", json!({ "reason": "" })).await.starts_with("400 invalid-body [#/reason"));
    assert_eq!(ask("order/resume", why.clone()).await, "409 refused []");
    say(&world, "order", "pause").await;
    let whole = world.post_admin("/v1/definitions/order.v1/resume", &[], &why).await;
    assert_eq!(whole.body["detail"], "all versions of order are paused together: resume order");
}
