//! A saga that waits is told what it waits for, once.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use super::problem;
use super::world::{World, all_well, ask};
use crate::keys::Scope;

const APPROVED: &str = "
saga: approved
version: 1
steps:
  - { name: approval, await: approval }
  - { name: ship, kind: pivot, call: inventory.ship, with: { by: \"=steps['approval'].by\" } }
";

#[tokio::test]
async fn a_signal_wakes_whoever_awaits_it_and_counts_once() {
    let world = World::of(&[("approved.v1.yaml", APPROVED)]).await;
    let id = world.saga("k1", "approved", json!({})).await;
    assert_eq!(world.get_admin("/v1/sagas?flag=awaiting").await.body["sagas"][0]["id"], id.as_str());
    let path = format!("/v1/sagas/{id}/signals/approval");

    let first = world.post(&path, &[], &json!({ "by": "ada" })).await;
    assert_eq!((first.status, &first.body["status"]), (StatusCode::OK, &json!("running")), "{first:?}");
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(saga["steps"][0]["action"]["output"], json!({ "by": "ada" }));
    assert_eq!(saga["steps"][1]["action"]["data"], json!({ "by": "ada" }));

    let again = world.post(&path, &[], &json!({ "by": "ada" })).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    let other = world.post(&path, &[], &json!({ "by": "bob" })).await;
    assert_eq!(problem(&other), "409 refused []");
    assert!(other.body["detail"].as_str().unwrap().contains("something else"), "{other:?}");
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(saga["version"], 2, "neither of them is in the journal");

    world.settle(&id, all_well).await;
    let late = world.post_admin(&path, &[], &json!({ "by": "ada" })).await;
    assert_eq!((late.status, &late.body["status"]), (StatusCode::OK, &json!("completed")), "{late:?}");
}

#[tokio::test]
async fn a_signal_that_cannot_be_is_said() {
    let world = World::of(&[("approved.v1.yaml", APPROVED)]).await;
    let id = world.saga("k1", "approved", json!({})).await;
    let signal = async |id: &str, name: &str, body: &serde_json::Value| {
        world.post(&format!("/v1/sagas/{id}/signals/{name}"), &[], body).await
    };
    let unknown = signal(&id, "approvel", &json!(null)).await;
    assert_eq!(problem(&unknown), "409 refused []");
    assert_eq!(unknown.body["detail"], "approved.v1 awaits no signal approvel, only approval");
    let nowhere = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    assert_eq!(problem(&signal(nowhere, "approval", &json!(1)).await), "404 not-found []");
    let said = problem(&signal(&id, "Approval", &json!(1)).await);
    assert!(said.starts_with("400 invalid-path [path:"), "{said}");
    let said = problem(&signal(&id, "approval", &json!({ "n": u64::MAX })).await);
    assert!(said.starts_with("400 invalid-body [#/n: 18446744073709551615 is more than"), "{said}");

    let path = format!("/v1/sagas/{id}/signals/approval");
    let authorization = format!("Bearer {}", world.make_key(Scope::Order).await);
    let said = world.post(&path, &[("authorization", &authorization)], &json!(1)).await;
    assert_eq!(problem(&said), "403 missing-scope []");

    // Without a body it says nothing but its name.
    let bare = ask(&world.public, world.request(Method::POST, &path, &[]).body(Body::empty()).unwrap()).await;
    assert_eq!(bare.status, StatusCode::OK, "{bare:?}");
}
