//! An operator's view: find sagas, look into them, act on them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::problem;
use super::world::{World, all_well, declined, order};

#[tokio::test]
async fn sagas_are_found_by_what_is_known_of_them() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for (number, customer) in ["a", "b", "a"].into_iter().enumerate() {
        ids.push(world.order(&format!("k{number}"), &order(customer, 1)).await.id());
    }
    world.settle(&ids[0], all_well).await;
    world.settle(&ids[1], declined).await;
    let find = async |query: &str| {
        let list = world.get_admin(&format!("/v1/sagas?{query}")).await;
        assert_eq!(list.status, StatusCode::OK, "{query}: {list:?}");
        let sagas = list.body["sagas"].as_array().unwrap();
        sagas.iter().map(|saga| ids.iter().position(|id| saga["id"] == **id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(find("").await, [2, 1, 0]);
    assert_eq!(find("status=completed,compensated").await, [1, 0]);
    assert_eq!(find("label=customer:a").await, [2, 0]);
    assert_eq!(find("label=customer:a&status=running").await, [2]);
    assert_eq!(find("definition=order&version=1").await, [2, 1, 0]);
    assert_eq!(find("definition=other").await, [0; 0]);
    assert_eq!(find("failure_code=card-declined&step=charge-payment").await, [1]);
    assert_eq!(find("flag=overdue,paused").await, [0; 0]);
    assert_eq!(find("from=2020-01-01T00:00:00Z&before=2020-01-02T00:00:00Z").await, [0; 0]);
    assert_eq!(find("from=2020-01-01T00:00:00Z&limit=1").await, [2]);

    let first = world.get_admin("/v1/sagas?limit=2&counts=true").await.body;
    assert_eq!(first["counts"]["completed"], 1);
    assert_eq!((&first["counts"]["compensated"], &first["counts"]["parked"]), (&json!(1), &json!(0)));
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(find(&format!("limit=2&cursor={cursor}")).await, [0]);
    let rejected = &first["sagas"][1];
    assert_eq!(
        (&rejected["status"], &rejected["failure"]["code"]),
        (&json!("compensated"), &json!("card-declined"))
    );
    assert_eq!(
        (&rejected["definition"], &rejected["labels"]),
        (&json!("order.v1"), &json!({ "customer": "b" }))
    );
}

#[tokio::test]
async fn filters_that_cannot_be_are_said() {
    let world = World::new().await;
    let wrong = async |query: &str| problem(&world.get_admin(&format!("/v1/sagas?{query}")).await);
    assert_eq!(
        wrong("flag=odd").await,
        "400 invalid-query [?flag: \"odd\" is not a flag: needs_attention, awaiting, held, overdue, paused, alarm, \
         definition_unknown]"
    );
    for (query, place) in [
        ("status=running,lost", "?status: \"lost\" is not a status"),
        ("label=customer", "?label: \"customer\" is not name:value"),
        ("definition=Order", "?definition: \"Order\" is not a name"),
        ("version=one", "?version: invalid digit"),
        ("from=yesterday", "?from: \"yesterday\" is not an RFC 3339 time"),
        ("counts=maybe", "?counts: "),
        ("statuss=running", "?statuss: unknown field"),
        ("label=a:%00", "?label: contains %00"),
    ] {
        let said = wrong(query).await;
        assert!(said.starts_with(&format!("400 invalid-query [{place}")), "{query}: {said}");
    }
}

#[tokio::test]
async fn a_saga_is_shown_with_its_steps_and_its_journal() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    world.settle(&id, declined).await;
    let saga = world.get_admin(&format!("/v1/sagas/{id}")).await.body;
    assert_eq!((&saga["status"], &saga["definition"]), (&json!("compensated"), &json!("order.v1")));
    assert_eq!(saga["allowed"], json!([]));
    let steps: Vec<String> = saga["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| {
            let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
            let parts = [
                &step["name"],
                &step["kind"],
                &step["call"],
                &step["action"]["state"],
                &step["undo"]["state"],
            ];
            parts.map(text).join(" ")
        })
        .collect();
    assert_eq!(
        steps,
        [
            "reserve-stock compensatable inventory.reserve-stock succeeded undone",
            "charge-payment compensatable payment.charge-payment rejected none",
            "confirm-stock pivot inventory.confirm-stock waiting -",
            "send-confirmation retriable notification.send-confirmation waiting -",
            "send-rejection retriable notification.send-rejection succeeded -",
        ]
    );
    assert_eq!(saga["steps"][1]["action"]["code"], "card-declined");
    assert_eq!(saga["steps"][0]["action"]["output"], json!({ "reservation_id": "r-1" }));

    let path = format!("/v1/sagas/{id}/journal");
    let journal = world.get_admin(&path).await.body;
    let entries = journal["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, saga["version"].as_u64().unwrap());
    assert_eq!((&entries[0]["seq"], &entries[0]["input"]["kind"]), (&json!(1), &json!("start")));
    assert_eq!(journal["next_after"], Value::Null);
    let page = world.get_admin(&format!("{path}?after=1&limit=1")).await.body;
    assert_eq!((&page["entries"], &page["next_after"]), (&json!([entries[1]]), &json!(2)));
    let end = world.get_admin(&format!("{path}?after={}", entries.len())).await;
    assert_eq!((end.status, &end.body["entries"]), (StatusCode::OK, &json!([])));

    let nowhere = "/v1/sagas/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    assert_eq!(problem(&world.get_admin(nowhere).await), "404 not-found []");
    assert_eq!(problem(&world.get_admin(&format!("{nowhere}/journal")).await), "404 not-found []");
}

#[tokio::test]
async fn an_action_needs_a_reason_and_is_refused_where_it_is_not_legal() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let path = format!("/v1/sagas/{id}/actions");
    let act = async |body: Value| world.post_admin(&path, &[], &body).await;
    for (body, expected) in [
        (json!({ "action": "retry-now" }), "400 invalid-body [#: missing field `reason`"),
        (json!({ "action": "retry-now", "reason": " " }), "400 invalid-body [#/reason: say why"),
        (
            json!({ "action": "retry-now", "reason": "x".repeat(1001) }),
            "400 invalid-body [#/reason: a reason has 1000",
        ),
        (
            json!({ "action": "explode", "reason": "why not" }),
            "400 invalid-body [#/action: unknown variant `explode`, expected one of `retry-now`, `skip-wait`, `cancel`",
        ),
    ] {
        let said = problem(&act(body).await);
        assert!(said.starts_with(expected), "{said}");
    }
    let retried = act(json!({ "action": "retry-now", "reason": "the broker is back" })).await;
    assert_eq!(retried.status, StatusCode::OK, "{retried:?}");
    assert_eq!(retried.body["steps"][0]["action"]["send_no"], 2);
    let cancelled = act(json!({ "action": "cancel", "reason": "the owner called" })).await;
    assert_eq!(cancelled.body["status"], "compensating");

    let journal = world.get_admin(&format!("/v1/sagas/{id}/journal")).await.body;
    let actor = journal["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["input"]["action"] == "cancel")
        .map(|entry| (entry["input"]["actor"].as_str().unwrap(), entry["input"]["reason"].as_str().unwrap()))
        .unwrap();
    assert_eq!(actor, (format!("tests ({})", &world.key[..16]).as_str(), "the owner called"));

    let id = world.order("k2", &order("c-1", 1)).await.id();
    world.settle(&id, all_well).await;
    let refused = world
        .post_admin(&format!("/v1/sagas/{id}/actions"), &[], &json!({ "action": "cancel", "reason": "late" }))
        .await;
    assert_eq!(problem(&refused), "409 refused []");
    let nowhere = "/v1/sagas/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/actions";
    let missing = world.post_admin(nowhere, &[], &json!({ "action": "cancel", "reason": "x" })).await;
    assert_eq!(problem(&missing), "404 not-found []");
}

#[tokio::test]
async fn definitions_are_shown_with_their_source() {
    let world = World::new().await;
    let list = world.get_admin("/v1/definitions").await.body;
    let mut items = list["definitions"].as_array().unwrap().iter();
    let item = items.find(|item| item["name"] == "order").unwrap();
    assert_eq!(item["version"], 1);
    assert_eq!(
        item["steps"][2],
        json!({ "name": "confirm-stock", "kind": "pivot", "call": "inventory.confirm-stock" })
    );
    assert!(item.get("source").is_none());
    let shown = world.get_admin("/v1/definitions/order.v1").await.body;
    assert!(shown["source"].as_str().unwrap().contains("saga: order"));
    assert_eq!(problem(&world.get_admin("/v1/definitions/order.v9").await), "404 not-found []");
    assert!(problem(&world.get_admin("/v1/definitions/order").await).starts_with("400 invalid-path"));
}

#[tokio::test]
async fn every_route_is_described() {
    let world = World::new().await;
    let api = world.get_admin("/openapi.json").await.body;
    let paths: Vec<&str> = api["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/livez",
            "/metrics",
            "/readyz",
            "/v1/dead-letters",
            "/v1/dead-letters/{id}",
            "/v1/dead-letters/{id}/actions",
            "/v1/definitions",
            "/v1/definitions/{definition}",
            "/v1/definitions/{definition}/pause",
            "/v1/definitions/{definition}/resume",
            "/v1/participants",
            "/v1/participants/{name}/actions",
            "/v1/sagas",
            "/v1/sagas/{id}",
            "/v1/sagas/{id}/actions",
            "/v1/sagas/{id}/journal",
            "/v1/sagas/{id}/messages",
            "/v1/sagas/{id}/signals/{name}",
            "/version",
        ]
    );
    let public = world.get("/openapi.json", &[]).await.body;
    let paths: Vec<&str> = public["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [
            "/v1/orders",
            "/v1/orders/{id}",
            "/v1/orders/{id}/cancel",
            "/v1/sagas",
            "/v1/sagas/{id}/signals/{name}"
        ]
    );
    let place = &public["paths"]["/v1/orders"]["post"];
    assert_eq!(place["security"], json!([{ "api_key": ["order"] }]));
    let statuses: Vec<&str> = place["responses"].as_object().unwrap().keys().map(String::as_str).collect();
    let all = ["200", "202", "400", "401", "403", "408", "409", "413", "415", "422", "500", "503"];
    assert_eq!(statuses, all);
    for status in &all[2..] {
        let schema = &place["responses"][status]["content"]["application/problem+json"]["schema"];
        assert_eq!(schema["$ref"], "#/components/schemas/ProblemBody", "{status}");
    }
    let version = api["paths"]["/v1/sagas"]["get"]["parameters"].as_array().unwrap();
    let version = version.iter().find(|parameter| parameter["name"] == "version").unwrap();
    assert_eq!(version["schema"]["maximum"], u32::MAX);
    // Every reference leads somewhere.
    for document in [&api, &public] {
        let text = document.to_string();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"][name].is_object(), "{name}");
        }
        assert!(document["components"]["securitySchemes"]["api_key"].is_object());
    }
}
