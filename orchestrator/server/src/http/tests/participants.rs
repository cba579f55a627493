//! Participants as operators pause them. There is no broker here: that the consumer stops is for tests/system.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::problem;
use super::world::{Answer, World};

async fn say(world: &World, name: &str, body: Value) -> Answer {
    world.post_admin(&format!("/v1/participants/{name}/actions"), &[], &body).await
}

#[tokio::test]
async fn a_pause_is_kept_with_who_why_and_until_when_and_the_broker_may_be_away() {
    let world = World::new().await;
    let paused = say(&world, "inventory", json!({ "action": "pause", "reason": "it moves" })).await;
    assert_eq!(paused.status, StatusCode::OK, "{paused:?}");
    let pause = &paused.body["pause"];
    assert!(pause["actor"].as_str().is_some_and(|actor| actor.starts_with("tests (")), "{pause}");
    assert_eq!(pause["reason"], "it moves");
    assert_eq!((&pause["until"], &paused.body["applied"]), (&Value::Null, &json!(false)));
    let body = json!({ "action": "pause", "reason": "it moves", "for_s": 600 });
    let longer = say(&world, "inventory", body).await.body;
    assert!(longer["pause"]["until"].as_str() > longer["pause"]["since"].as_str(), "{longer}");
    let at = json!({ "action": "pause", "reason": "it moves", "until": "2999-01-01T00:00:00Z" });
    let at = say(&world, "inventory", at).await.body;
    assert_eq!(at["pause"]["until"], "2999-01-01T00:00:00.000Z");

    let resumed = say(&world, "inventory", json!({ "action": "resume", "reason": "it stands" })).await;
    assert_eq!((resumed.status, &resumed.body["pause"]), (StatusCode::OK, &Value::Null));
    let said = world.core.store().participant_actions().await.unwrap();
    let said: Vec<_> = said.iter().map(|it| (it.seq, it.wish.as_str(), it.reason.as_str())).collect();
    assert_eq!(
        said,
        [
            (1, "pause", "it moves"),
            (2, "pause", "it moves"),
            (3, "pause", "it moves"),
            (4, "resume", "it stands")
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_is_said_and_nothing_is_kept() {
    let world = World::new().await;
    for (name, body, expected) in [
        ("inventory", json!({ "action": "pause", "reason": " " }), "400 invalid-body [#/reason: say why"),
        ("inventory", json!({ "action": "burn", "reason": "x" }), "400 invalid-body [#/action"),
        (
            "inventory",
            json!({ "action": "pause", "reason": "x", "for_s": 0 }),
            "400 invalid-body [#/for_s: a pause lasts a second at least]",
        ),
        (
            "inventory",
            json!({ "action": "pause", "reason": "x", "for_s": 5, "until": "2999-01-01T00:00:00Z" }),
            "400 invalid-body [#/for_s: give until or for_s, not both]",
        ),
        (
            "inventory",
            json!({ "action": "pause", "reason": "x", "until": "2020-01-01T00:00:00Z" }),
            "400 invalid-body [#/until: 2020-01-01T00:00:00.000Z has passed",
        ),
        (
            "inventory",
            json!({ "action": "resume", "reason": "x", "for_s": 5 }),
            "400 invalid-body [#/for_s: resume does not take it]",
        ),
        ("nobody", json!({ "action": "pause", "reason": "x" }), "404 not-found []"),
        ("orchestrator", json!({ "action": "pause", "reason": "x" }), "404 not-found []"),
        // Nobody here has paused it, and who might have done so by hand cannot be asked.
        ("inventory", json!({ "action": "resume", "reason": "x" }), "503 unavailable []"),
    ] {
        let said = problem(&say(&world, name, body.clone()).await);
        assert!(said.starts_with(expected), "{name} {body}: {said}");
    }
    assert_eq!(world.core.store().participant_actions().await.unwrap(), []);
}
