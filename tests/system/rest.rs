//! What callers of the REST API may rely on: one key, one order; errors that say what and where.

use amends_tests::{
    Answer, System,
    audit::{audit, settled},
    traffic::{Kind, Order, restock},
};
use serde_json::{Value, json};

use crate::alone;

/// The status, code and first place that a request is answered with; everything else of a problem is
/// checked here.
fn problem(answer: &Answer) -> (u16, String, String) {
    let text =
        |pointer: &str| answer.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.body["status"], answer.status, "{answer:?}");
    assert!(!text("/title").is_empty() && !text("/detail").is_empty(), "{answer:?}");
    assert!(answer.status < 500, "{answer:?}");
    (answer.status, text("/code"), text("/errors/0/pointer"))
}

/// `POST /v1/orders` with these headers and this body.
async fn post(system: &System, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    let url = system.url("orchestrator", "/v1/orders");
    system.client.send("POST", &url, headers, Some(body)).await.expect("the orchestrator answers")
}

#[tokio::test]
async fn rest_keeps_its_conventions() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    one_key_one_order(&system).await;
    wrong_requests_are_problems(&system).await;
    keys_open_what_they_are_for(&system).await;
    rejections_name_what_was_refused(&system).await;
    what_is_over_is_over(&system).await;
}

async fn one_key_one_order(system: &System) {
    let door = system.door();
    let order = Order::new(Kind::Good, 1, 2);
    let first = door.order("once", &order.body()).await.expect("an answer");
    assert_eq!(first.status, 202, "{first:?}");
    let id = first.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(first.header("location"), Some(format!("/v1/orders/{id}").as_str()));
    assert_eq!(first.header("idempotency-replayed"), None);

    let second = door.order("once", &order.body()).await.expect("an answer");
    assert_eq!((second.status, &second.body), (202, &first.body), "the stored answer is the first one");
    assert_eq!(second.header("idempotency-replayed"), Some("true"));

    let other = door.order("once", &Order::new(Kind::Good, 1, 3).body()).await.expect("an answer");
    assert_eq!(problem(&other).0, 422);

    let all = [Order { id, ..order }];
    settled(system, &all).await;
    audit(system, &all).await;
}

async fn wrong_requests_are_problems(system: &System) {
    let authorization = system.authorization();
    let good = Order::new(Kind::Good, 2, 1).body();
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).expect("a field of an order") = value;
        body.to_string().into_bytes()
    };
    let mut unknown = good.clone();
    unknown["colour"] = json!("blue");
    let mut incomplete = good.clone();
    incomplete.as_object_mut().expect("an object").remove("email");
    let wrong = [
        (b"{\"customer_id\":".to_vec(), 400, ""),
        (b"[]".to_vec(), 400, ""),
        (with("/lines/0/quantity", json!(-1)), 400, "#/lines/0/quantity"),
        (with("/lines/0/quantity", json!(0)), 400, "#/lines/0/quantity"),
        (with("/lines/0/quantity", json!("two")), 400, "#/lines/0/quantity"),
        (with("/lines/0/unit_price/currency", json!("QQQ")), 400, "#/lines/0/unit_price/currency"),
        (with("/lines", json!([])), 400, "#/lines"),
        (with("/email", json!("nobody")), 400, "#/email"),
        (unknown.to_string().into_bytes(), 400, ""),
        (incomplete.to_string().into_bytes(), 400, ""),
        (with("/customer_id", json!("x".repeat(1024 * 1024))), 413, ""),
    ];
    for (number, (body, status, place)) in wrong.into_iter().enumerate() {
        let key = format!("wrong-{number}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("idempotency-key", &key),
            ("content-type", "application/json"),
        ];
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        let answer = post(system, &headers, body).await;
        let (found, code, pointer) = problem(&answer);
        assert_eq!(found, status, "{shown}: {answer:?}");
        assert!(!code.is_empty(), "{shown}: {answer:?}");
        assert!(place.is_empty() || pointer == place, "{shown}: {answer:?}");
    }

    let without_key = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let answer = post(system, &without_key, good.to_string().into_bytes()).await;
    assert_eq!(problem(&answer).0, 400);

    let headers = [("authorization", authorization.as_str())];
    let get = async |path: &str| {
        let url = system.url("orchestrator", path);
        system.client.send("GET", &url, &headers, None).await.expect("an answer")
    };
    assert_eq!(problem(&get("/v1/orders?colour=blue").await).0, 400);
    assert_eq!(problem(&get("/v1/orders/not-an-id").await).0, 400);
    assert_eq!(problem(&get("/v1/orders/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10").await).0, 404);
    assert_eq!(problem(&get("/v1/nothing").await).0, 404);
}

async fn keys_open_what_they_are_for(system: &System) {
    let orders = system.url("orchestrator", "/v1/orders");
    let sagas = system.admin("/v1/sagas");
    let ask = async |url: &str, key: Option<&str>| {
        let authorization = key.map(|key| format!("Bearer {key}"));
        let headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
        system.client.send("GET", url, &headers, None).await.expect("an answer")
    };
    assert_eq!(problem(&ask(&orders, None).await).0, 401);
    assert_eq!(problem(&ask(&orders, Some("nonsense")).await).0, 401);
    let unknown = format!("amk_{}_{}", "0".repeat(12), "0".repeat(64));
    assert_eq!(problem(&ask(&orders, Some(&unknown)).await).0, 401);

    let order_key = system.make_key("order");
    assert_eq!(ask(&orders, Some(&order_key)).await.status, 200);
    assert_eq!(problem(&ask(&sagas, Some(&order_key)).await).0, 403);
    let operate_key = system.make_key("operate");
    assert_eq!(ask(&sagas, Some(&operate_key)).await.status, 200);
    assert_eq!(problem(&ask(&orders, Some(&operate_key)).await).0, 403);
}

async fn rejections_name_what_was_refused(system: &System) {
    let authorization = system.authorization();
    for (number, kind) in (10..).zip([Kind::UnknownSku, Kind::OutOfStock]) {
        let order = Order::new(kind, number, 1);
        let key = format!("rejection-{number}");
        let headers = [
            ("authorization", authorization.as_str()),
            ("idempotency-key", &key),
            ("content-type", "application/json"),
            ("prefer", "wait=30"),
        ];
        let answer = post(system, &headers, order.body().to_string().into_bytes()).await;
        assert_eq!(answer.status, 200, "it settled while we waited: {answer:?}");
        let failure = &answer.body["failure"];
        let (step, code) = kind.rejection().expect("a rejection");
        assert_eq!(answer.body["status"], "rejected", "{answer:?}");
        assert_eq!((&failure["step"], &failure["code"]), (&json!(step), &json!(code)), "{answer:?}");
        let detail = failure["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(order.sku), "{detail:?} names {}", order.sku);
    }
}

async fn what_is_over_is_over(system: &System) {
    let authorization = system.authorization();
    let order = Order::new(Kind::Good, 20, 1);
    let placed = system.door().order("over", &order.body()).await.expect("an answer").ok();
    let id = placed["id"].as_str().expect("an id").to_owned();
    settled(system, &[Order { id: id.clone(), ..order }]).await;

    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let url = system.admin(&format!("/v1/sagas/{id}/actions"));
    let body = json!({ "action": "cancel", "reason": "too late" }).to_string().into_bytes();
    let refused = system.client.send("POST", &url, &headers, Some(body)).await.expect("an answer");
    assert_eq!(problem(&refused).0, 409);

    let url = system.url("orchestrator", &format!("/v1/orders/{id}"));
    let shown = system.client.send("GET", &url, &headers[..1], None).await.expect("an answer");
    let tag = shown.header("etag").expect("an ETag").to_owned();
    let again = [headers[0], ("if-none-match", tag.as_str())];
    let unchanged = system.client.send("GET", &url, &again, None).await.expect("an answer");
    assert_eq!(unchanged.status, 304, "{unchanged:?}");
}
