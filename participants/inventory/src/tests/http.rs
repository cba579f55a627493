//! What operators see and do.

use amends_service::openapi;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::shop::{Inventory, reserve};
use crate::http::{Shown, router};

on_both_databases!(
    the_stock_is_listed_in_pages,
    one_item_is_shown,
    a_new_sku_is_brought_in,
    a_restocking_happens_once_per_key,
    what_cannot_be_brought_in_is_refused_with_the_place,
    restocks_under_one_key_at_the_same_time_are_one,
);

struct Answer {
    status: StatusCode,
    replayed: bool,
    body: Value,
}

async fn send(inventory: &Inventory, method: &str, path: &str, key: Option<&str>, body: &str) -> Answer {
    let shown = Shown { db: inventory.bench.db().clone(), page_count: 2, page_count_max: 3 };
    let mut request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("Idempotency-Key", key);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = openapi::with_docs(router(shown)).oneshot(request).await.unwrap();
    let (status, replayed) = (response.status(), response.headers().contains_key("idempotency-replayed"));
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    let expected = if status == StatusCode::OK { "application/json" } else { "application/problem+json" };
    assert_eq!(kind, expected);
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    Answer { status, replayed, body: serde_json::from_slice(&bytes).unwrap() }
}

async fn get(inventory: &Inventory, path: &str) -> Answer {
    send(inventory, "GET", path, None, "").await
}

async fn restock(inventory: &Inventory, key: Option<&str>, body: Value) -> Answer {
    send(inventory, "POST", "/inventory/restock", key, &body.to_string()).await
}

async fn the_stock_is_listed_in_pages(inventory: Inventory) {
    let first = get(&inventory, "/inventory").await;
    assert_eq!(first.status, StatusCode::OK);
    let skus = |answer: &Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap();
        items.iter().map(|item| item["sku"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(skus(&first), ["CUP-1", "POT-1"]);
    assert_eq!(first.body["next"], "POT-1");
    let last = get(&inventory, "/inventory?cursor=POT-1").await;
    assert_eq!((skus(&last), &last.body["next"]), (vec!["TEA-1".to_owned()], &Value::Null));
    assert_eq!(skus(&get(&inventory, "/inventory?limit=1000").await).len(), 3);
    assert_eq!(skus(&get(&inventory, "/inventory?limit=0").await).len(), 1);
    assert_eq!(get(&inventory, "/inventory?size=5").await.status, StatusCode::BAD_REQUEST);
}

async fn one_item_is_shown(inventory: Inventory) {
    inventory.bench.ask(&reserve(1, &[("TEA-1", 4)])).await;
    let item = get(&inventory, "/inventory/TEA-1").await;
    let expected = json!({ "sku": "TEA-1", "on_hand": 10, "reserved": 4, "available": 6, "deducted": 0, "received": 10 });
    assert_eq!((item.status, item.body), (StatusCode::OK, expected));
    let none = get(&inventory, "/inventory/NONE-1").await;
    assert_eq!((none.status, &none.body["code"]), (StatusCode::NOT_FOUND, &json!("not-found")));
}

async fn a_new_sku_is_brought_in(inventory: Inventory) {
    let answer = restock(&inventory, None, json!({ "sku": "NEW-1", "quantity": 7 })).await;
    let expected =
        json!({ "sku": "NEW-1", "on_hand": 7, "reserved": 0, "available": 7, "deducted": 0, "received": 7 });
    assert_eq!((answer.status, answer.body), (StatusCode::OK, expected.clone()));
    assert_eq!(get(&inventory, "/inventory/NEW-1").await.body, expected);
    // Four restockings so far, each with its event.
    assert_eq!(inventory.bench.publish_events().await, 4);
    assert!(
        inventory.bench.published().iter().all(|message| message.subject == "amends.event.stock.restocked")
    );
}

async fn a_restocking_happens_once_per_key(inventory: Inventory) {
    let body = json!({ "sku": "TEA-1", "quantity": 5 });
    let first = restock(&inventory, Some("key-1"), body.clone()).await;
    assert_eq!((first.status, first.replayed), (StatusCode::OK, false));
    inventory.bench.ask(&reserve(1, &[("TEA-1", 4)])).await;
    let again = restock(&inventory, Some("key-1"), body.clone()).await;
    assert_eq!((again.status, again.replayed, again.body), (StatusCode::OK, true, first.body));
    for other in [json!({ "sku": "TEA-1", "quantity": 6 }), json!({ "sku": "CUP-1", "quantity": 5 })] {
        let refused = restock(&inventory, Some("key-1"), other).await;
        let expected = (StatusCode::UNPROCESSABLE_ENTITY, &json!("idempotency-key-reused"));
        assert_eq!((refused.status, &refused.body["code"]), expected);
    }
    assert_eq!(inventory.stock("TEA-1").await, [15, 4, 0, 15]);
    restock(&inventory, Some("key-2"), body).await;
    assert_eq!(inventory.stock("TEA-1").await, [20, 4, 0, 20]);
}

async fn what_cannot_be_brought_in_is_refused_with_the_place(inventory: Inventory) {
    let cases = [
        (json!({ "sku": "TEA-1", "quantity": 0 }), "#/quantity"),
        (json!({ "sku": "TEA-1", "quantity": -5 }), "#/quantity"),
        (json!({ "sku": "TEA-1", "quantity": i64::MAX }), "#/quantity"),
        (json!({ "sku": "", "quantity": 1 }), "#/sku"),
        (json!({ "sku": "a b", "quantity": 1 }), "#/sku"),
        (json!({ "sku": "TEA-1", "quantity": 1, "price": 5 }), "#/price"),
        (json!({ "sku": "TEA-1", "quantity": 1.5 }), "#/quantity"),
        (json!({ "sku": "TEA-1" }), "#"),
    ];
    for (body, pointer) in cases {
        let answer = restock(&inventory, None, body.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.body);
        let found = answer.body["errors"][0]["pointer"].as_str().unwrap();
        assert!(found.starts_with(pointer), "{body}: {}", answer.body);
    }
    for key in ["", &"x".repeat(256)] {
        let answer = restock(&inventory, Some(key), json!({ "sku": "TEA-1", "quantity": 1 })).await;
        assert_eq!(
            (answer.status, &answer.body["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid-header"))
        );
    }
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn restocks_under_one_key_at_the_same_time_are_one(inventory: Inventory) {
    let body = json!({ "sku": "TEA-1", "quantity": 5 });
    let ask = || restock(&inventory, Some("key-1"), body.clone());
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let mut replayed = 0;
    for answer in [a, b, c, d] {
        assert_eq!((answer.status, &answer.body["received"]), (StatusCode::OK, &json!(15)));
        replayed += usize::from(answer.replayed);
    }
    assert_eq!(replayed, 3);
    assert_eq!(inventory.stock("TEA-1").await, [15, 0, 0, 15]);
}
