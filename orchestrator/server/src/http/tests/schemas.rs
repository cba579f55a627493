//! Schemas of steps: a command that breaks its own never leaves, a reply that breaks it makes its step stuck.

use amends_contract::Outcome;
use serde_json::json;

use super::world::World;
use crate::core::{Definitions, LoadError};

const WEIGHED: &str = "
saga: weighed
version: 1
steps:
  - name: weigh
    kind: compensatable
    call: inventory.weigh
    with: { grams: =input.grams }
    undo: inventory.forget
    schemas: { command: command.json, reply: reply.json }
  - { name: ship, kind: pivot, call: inventory.ship }
";

const COMMAND: &str = r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema",
    "properties": { "grams": { "type": "integer", "minimum": 1 } }, "required": ["grams"] }"#;
const REPLY: &str = r#"{ "$schema": "https://json-schema.org/draft/2020-12/schema",
    "properties": { "scale": { "type": "string" } }, "required": ["scale"] }"#;

async fn world() -> World {
    World::of(&[("weighed.v1.yaml", WEIGHED), ("command.json", COMMAND), ("reply.json", REPLY)]).await
}

#[tokio::test]
async fn a_reply_that_breaks_its_schema_makes_the_step_stuck_with_the_place() {
    let world = world().await;
    let id = world.saga("k1", "weighed", json!({ "grams": 5 })).await;
    world.reply(&id, Outcome::Succeeded { output: json!({ "scale": 7 }).into() }).await;
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(saga["status"], "parked", "{saga}");
    let action = &saga["steps"][0]["action"];
    assert_eq!((&action["state"], &action["code"]), (&json!("stuck"), &json!("reply")));
    let detail = action["detail"].as_str().unwrap();
    assert!(detail.contains("/scale") && detail.contains("string"), "{detail}");

    // The participant is mended, and asked again.
    let retry = json!({ "action": "retry-now", "reason": "the scale is mended" });
    world.post_admin(&format!("/v1/sagas/{id}/actions"), &[], &retry).await;
    world.reply(&id, Outcome::Succeeded { output: json!({ "scale": "A" }).into() }).await;
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(saga["steps"][0]["action"]["state"], "succeeded", "{saga}");
}

#[tokio::test]
async fn a_command_that_breaks_its_schema_is_never_sent() {
    let world = world().await;
    let id = world.saga("k1", "weighed", json!({ "grams": 0 })).await;
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!((&saga["status"], &saga["failure"]["code"]), (&json!("compensated"), &json!("schema")));
    let detail = saga["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("/grams") && detail.contains('1'), "{detail}");
    assert_eq!(saga["steps"][0]["action"].get("send_no"), None, "{saga}");
}

#[tokio::test]
async fn a_schema_that_is_none_is_said_with_its_step() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let broken = REPLY.replace("\"string\"", "\"strin\"");
    for (name, text) in [("weighed.v1.yaml", WEIGHED), ("command.json", COMMAND), ("reply.json", &broken)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let Err(error) = Definitions::load(folder.path(), world.core.store(), 30 * 24 * 3600).await else {
        panic!("it is no schema")
    };
    assert!(matches!(error, LoadError::Schema { .. }), "{error}");
    assert!(error.to_string().starts_with("weighed.v1: step weigh: "));
}
