//! What an operator does to a saga: what each action needs, and what it shows afterwards.

use amends_engine::{Input, OperatorAction, PausedBy};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::problem;
use super::world::{Answer, World, order};

const BATCH: &str = "
saga: batch
version: 1
output: =input.lines
steps:
  - { name: look, await: { signal: look, timeout: 1h, on_timeout: go-on } }
  - name: pack
    kind: compensatable
    call: inventory.pack
    for_each: =input.lines
    as: line
    at_most: 10
    with: { line: =line }
    undo: inventory.unpack
  - { name: ship, kind: pivot, call: inventory.ship }
";

async fn act(world: &World, id: &str, mut body: Value) -> Answer {
    if body.get("reason").is_none() {
        body["reason"] = json!("because");
    }
    world.post_admin(&format!("/v1/sagas/{id}/actions"), &[], &body).await
}

#[tokio::test]
async fn what_an_action_lacks_or_does_not_take_is_named() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let cases = [
        (json!({ "action": "edit-and-retry" }), "#/step: edit-and-retry needs it"),
        (
            json!({ "action": "edit-and-retry", "step": "reserve-stock", "data": {} }),
            "#/effect: edit-and-retry needs it",
        ),
        (
            json!({ "action": "edit-and-retry", "step": "reserve-stock", "effect": "do" }),
            "#/data: edit-and-retry needs it",
        ),
        (json!({ "action": "settle-step", "effect": "undo" }), "#/step: settle-step needs it"),
        (json!({ "action": "retry-now", "step": "reserve-stock" }), "#/step: retry-now does not take it"),
        (json!({ "action": "abandon", "output": null }), "#/output: abandon does not take it"),
        (
            json!({ "action": "settle-step", "step": "reserve-stock", "effect": "do", "data": 1 }),
            "#/data: settle-step does not take it",
        ),
        (json!({ "action": "settle-step", "step": "A b", "effect": "do" }), "#/step: "),
        (
            json!({ "action": "settle-step", "step": "reserve-stock", "effect": "redo" }),
            "#/effect: unknown variant",
        ),
        (
            json!({ "action": "settle-step", "step": "reserve-stock", "effect": "do", "output": u64::MAX }),
            "#/output: 18446744073709551615 is more than",
        ),
        (json!({ "action": "pause", "by": "definition" }), "#/by: unknown field"),
    ];
    for (body, expected) in cases {
        let said = problem(&act(&world, &id, body.clone()).await);
        assert!(said.starts_with(&format!("400 invalid-body [{expected}")), "{body}: {said}");
    }
    let refused = act(&world, &id, json!({ "action": "resume" })).await;
    assert_eq!(problem(&refused), "409 refused []");
    let detail = refused.body["detail"].as_str().unwrap();
    assert!(detail.contains("not paused") && detail.contains("allowed now: retry-now, "), "{detail}");
}

#[tokio::test]
async fn instances_signals_and_pauses_are_shown() {
    let world = World::of(&[("batch.v1.yaml", BATCH)]).await;
    let id = world.saga("k1", "batch", json!({ "lines": ["a", "b"] })).await;
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(
        (&saga["awaiting"][0]["signal"], &saga["awaiting"][0]["step"]),
        (&json!("look"), &json!("look"))
    );
    assert!(saga["awaiting"][0]["until"].is_string(), "{saga}");

    let paused = act(&world, &id, json!({ "action": "pause" })).await.body;
    assert_eq!(
        (&paused["paused"]["by"], &paused["flags"]),
        (&json!("operator"), &json!(["awaiting", "paused"]))
    );
    for flag in ["awaiting", "paused"] {
        assert_eq!(
            world.get_admin(&format!("/v1/sagas?flag={flag}")).await.body["sagas"][0]["id"],
            id.as_str()
        );
    }
    let resumed = act(&world, &id, json!({ "action": "resume" })).await.body;
    assert_eq!(resumed.get("paused"), None);

    let saga = act(&world, &id, json!({ "action": "skip-wait" })).await.body;
    assert_eq!(saga["awaiting"], json!([]));
    let names: Vec<_> =
        saga["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["look", "pack", "ship", "pack.0", "pack.1"]);
    assert_eq!(
        (&saga["steps"][4]["element"], &saga["steps"][4]["action"]["epoch"]),
        (&json!("b"), &json!(1))
    );
    assert_eq!(saga["steps"][1]["action"]["state"], "spread");
}

#[tokio::test]
async fn an_abandoned_saga_says_so_for_ever() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let abandoned = act(&world, &id, json!({ "action": "abandon", "reason": "the shop is sold" })).await;
    assert_eq!(
        (abandoned.status, &abandoned.body["status"]),
        (StatusCode::OK, &json!("abandoned")),
        "{abandoned:?}"
    );
    assert_eq!(world.get(&format!("/v1/orders/{id}"), &[]).await.body["status"], "abandoned");
    assert_eq!(problem(&act(&world, &id, json!({ "action": "retry-now" })).await), "409 refused []");
}

/// What this process remembers of a saga is not believed where it would say no: another may have gone on with it.
#[tokio::test]
async fn what_another_process_did_is_seen_even_if_the_saga_is_remembered() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let saga = world.core.store().saga(id.parse().unwrap()).await.unwrap().unwrap();
    let action = OperatorAction::Pause { by: PausedBy::Operator };
    let (actor, reason) = ("somebody else".to_owned(), "because".to_owned());
    world.commit(saga, Input::Operator { action, actor, reason }).await;
    let resumed = act(&world, &id, json!({ "action": "resume" })).await;
    assert_eq!(resumed.status, StatusCode::OK, "{resumed:?}");
    let saga = world.core.store().saga(id.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((saga.version, saga.paused), (3, None));
    // And what it committed itself it remembers: the same action is refused by what it knows now.
    let again = act(&world, &id, json!({ "action": "resume" })).await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{again:?}");
}
