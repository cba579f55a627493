//! The service subjects: the same answers and errors as REST, without a key.

use amends_broker::{Answer, Request};
use amends_service::HttpConfig;
use serde_json::{Value, json};

use super::super::services::Services;
use super::world::{World, order};

async fn ask(services: &Services, operation: &str, body: &str) -> (Value, Answer) {
    let request = Request {
        endpoint: operation.to_owned(),
        traceparent: None,
        body: body.to_owned().into(),
        crowded: false,
    };
    let answer = services.answer(request).await;
    let body = serde_json::from_slice(&answer.body).unwrap_or_default();
    (body, answer)
}

/// Code of the service error, and each place with what is wrong there.
async fn wrong(services: &Services, operation: &str, body: Value) -> String {
    let (problem, answer) = ask(services, operation, &body.to_string()).await;
    assert_eq!(answer.content_type, "application/problem+json", "{problem}");
    let (code, text) = answer.error.unwrap();
    assert_eq!(problem["status"], code, "{problem}");
    assert!(text.starts_with(problem["code"].as_str().unwrap()), "{text}: {problem}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    let errors: Vec<String> =
        errors.iter().map(|it| format!("{}: {}", text(&it["pointer"]), text(&it["detail"]))).collect();
    format!("{code} {} [{}]", text(&problem["code"]), errors.join("; "))
}

fn start(key: &str) -> Value {
    let mut input = order("c-1", 1);
    input["total"] = json!({ "amount": 1999, "currency": "EUR" });
    input["payment_token"] = json!("tok_visa");
    json!({ "definition": "order", "input": input, "idempotency_key": key, "actor": "ada" })
}

async fn services(world: &World) -> Services {
    Services::new(&world.app, &HttpConfig::on_port(0))
}

#[tokio::test]
async fn sagas_are_started_once_listed_shown_and_acted_on() {
    let world = World::new().await;
    let services = services(&world).await;
    let (started, answer) = ask(&services, "start", &start("k1").to_string()).await;
    assert_eq!((answer.error, &started["status"]), (None, &json!("running")), "{started}");
    assert_eq!(answer.content_type, "application/json");
    // It is committed when it is answered, and the same key gives the first answer again.
    let id = started["id"].as_str().unwrap().to_owned();
    assert!(world.core.store().saga(id.parse().unwrap()).await.unwrap().is_some());
    let (again, _) = ask(&services, "start", &start("k1").to_string()).await;
    assert_eq!(again, started);

    let (saga, _) = ask(&services, "get", &json!({ "id": id }).to_string()).await;
    let rest = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!(saga, rest);
    let (list, _) = ask(&services, "list", "").await;
    assert_eq!(list, world.get_admin("/v1/sagas").await.body);
    let (none, _) = ask(&services, "list", r#"{"status":"parked,completed","limit":1}"#).await;
    assert_eq!(none["sagas"], json!([]));

    let cancel = json!({ "id": id, "action": "cancel", "reason": "she called", "actor": "ada" });
    let (cancelled, _) = ask(&services, "action", &cancel.to_string()).await;
    assert_eq!(cancelled["status"], "compensating", "{cancelled}");
    let journal = world.get_admin(&format!("/v1/sagas/{id}/journal")).await.body;
    let inputs: Vec<&Value> = journal["entries"].as_array().unwrap().iter().map(|it| &it["input"]).collect();
    let input = inputs.iter().find(|input| input["action"] == "cancel").unwrap();
    assert_eq!((&input["actor"], &input["reason"]), (&json!("ada (over NATS)"), &json!("she called")));
}

#[tokio::test]
async fn what_is_wrong_is_said_as_rest_says_it() {
    let world = World::new().await;
    let services = services(&world).await;
    let nowhere = "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    let without = |name: &str| {
        let mut body = start("k");
        body.as_object_mut().unwrap().remove(name);
        body
    };
    for (operation, body, expected) in [
        (
            "start",
            without("idempotency_key"),
            "400 missing-idempotency-key [#/idempotency_key: it is missing]",
        ),
        ("start", start("a b"), "400 invalid-body [#/idempotency_key: 1 to 255 visible"),
        ("start", without("definition"), "400 invalid-body [#: missing field `definition`"),
        ("start", without("input"), "400 invalid-body [#/input: null is not of type \"object\""),
        ("start", json!({ "idempotency_key": 1 }), "400 invalid-body [#/idempotency_key: a text"),
        ("start", json!([]), "400 invalid-body [#: a JSON object is expected"),
        ("get", json!({}), "400 invalid-body [#/id: it is missing"),
        ("get", json!({ "id": "x" }), "400 invalid-body [#/id: "),
        ("get", json!({ "id": nowhere }), "404 not-found []"),
        ("get", json!({ "id": nowhere, "x": 1 }), "400 invalid-body [#/x: there is no such field here]"),
        ("list", json!({ "status": "lost" }), "400 invalid-query [?status: "),
        ("list", json!({ "statuss": "lost" }), "400 invalid-query [?statuss: unknown field"),
        ("list", json!({ "status": ["lost"] }), "400 invalid-body [#/status: several values"),
        (
            "action",
            json!({ "id": nowhere, "action": "cancel" }),
            "400 invalid-body [#: missing field `reason`",
        ),
        ("action", json!({ "id": nowhere, "action": "cancel", "reason": "x" }), "404 not-found []"),
        ("signal", json!({ "id": nowhere }), "400 invalid-body [#/name: it is missing"),
        ("signal", json!({ "id": nowhere, "name": "a/b" }), "400 invalid-body [#/name: "),
        ("signal", json!({ "id": nowhere, "name": "approval" }), "404 not-found []"),
        ("get", json!({ "id": nowhere, "actor": "a\u{7}" }), "400 invalid-body [#/actor: "),
        ("burn", json!({}), "404 not-found []"),
    ] {
        let said = wrong(&services, operation, body.clone()).await;
        assert!(said.starts_with(expected), "{operation} {body}: {said}");
    }
    let (_, answer) = ask(&services, "start", "{").await;
    assert_eq!(answer.error.unwrap().0, 400);
    // The same key for another request is a mistake here, too.
    ask(&services, "start", &start("k1").to_string()).await;
    let mut other = start("k1");
    other["input"]["customer_id"] = json!("c-2");
    assert!(wrong(&services, "start", other).await.starts_with("422 idempotency-key-reused"));
}

#[tokio::test]
async fn keys_of_rest_and_of_the_subjects_do_not_meet() {
    let world = World::new().await;
    let services = services(&world).await;
    let over_rest = world.order("k1", &order("c-1", 1)).await.id();
    let (over_nats, _) = ask(&services, "start", &start("k1").to_string()).await;
    assert_ne!(over_nats["id"].as_str().unwrap(), over_rest);
}
