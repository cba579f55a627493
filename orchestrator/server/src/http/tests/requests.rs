//! Requests that cannot be: each is a problem that says what and where, none is an internal error.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::problem;
use super::world::{World, ask, order};

#[tokio::test]
async fn each_mistake_of_an_order_is_named_with_its_place() {
    let world = World::new().await;
    let with = |pointer: &str, value: Value| {
        let mut body = order("c-1", 1);
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let mut unknown = order("c-1", 1);
    unknown["lines"][0]["colour"] = json!("blue");
    let mut total = order("c-1", 1);
    total["total"] = json!({ "amount": 1, "currency": "EUR" });
    let mut incomplete = order("c-1", 1);
    incomplete.as_object_mut().unwrap().remove("email");
    let line = |quantity: u64, amount: u64, currency: &str| json!({ "sku": "MUG-1", "quantity": quantity, "unit_price": { "amount": amount, "currency": currency } });
    let cases = [
        (with("/lines/0/quantity", json!(-1)), "#/lines/0/quantity: invalid value: integer `-1`"),
        (with("/lines/0/quantity", json!(0)), "#/lines/0/quantity: invalid value: integer `0`"),
        (with("/lines/0/quantity", json!(1.5)), "#/lines/0/quantity: invalid type: floating point `1.5`"),
        (with("/lines/0/unit_price/amount", json!(-1)), "#/lines/0/unit_price/amount: invalid value"),
        (with("/lines/0/unit_price/currency", json!("QQQ")), "#/lines/0/unit_price/currency: not a currency"),
        (with("/lines", json!([])), "#/lines: an order has at least one line"),
        (
            with("/lines", json!([line(1, 1, "EUR"), line(1, 1, "USD")])),
            "#/lines/1/unit_price/currency: all lines",
        ),
        (with("/lines/0/unit_price/amount", json!(u64::MAX)), "#/lines/0: the total of the order exceeds"),
        (with("/email", json!("nobody")), "#/email: "),
        (with("/email", json!("a@b\0")), "#/email: contains \\u0000"),
        (with("/customer_id", json!("")), "#/customer_id: "),
        (unknown, "#/lines/0/colour: unknown field"),
        (total, "#/total: unknown field"),
        (incomplete, "#: missing field `email`"),
        (json!([]), "#: invalid length"),
        (json!("order"), "#: invalid type: string \"order\""),
    ];
    for (number, (body, expected)) in cases.into_iter().enumerate() {
        let said = problem(&world.order(&format!("k{number}"), &body).await);
        assert!(said.starts_with(&format!("400 invalid-body [{expected}")), "{body}: {said}");
    }
    assert_eq!(world.get("/v1/orders", &[]).await.body["orders"], json!([]), "nothing was started");
}

#[tokio::test]
async fn what_is_no_json_or_too_much_of_it_is_refused() {
    let world = World::new().await;
    let post = async |content_type: &str, body: Vec<u8>| {
        let headers = [("idempotency-key", "k"), ("content-type", content_type)];
        let request = world.request(Method::POST, "/v1/orders", &headers);
        problem(&ask(&world.public, request.body(Body::from(body)).unwrap()).await)
    };
    assert!(
        post("application/json", b"{\"customer_id\":".to_vec())
            .await
            .starts_with("400 malformed-json [#: EOF")
    );
    assert!(post("application/json", vec![b'['; 1000]).await.starts_with("400 "));
    assert!(post("application/json", b"\xff\xfe".to_vec()).await.starts_with("400 malformed-json"));
    assert_eq!(
        post("application/json", vec![b' '; 1024 * 1024]).await,
        "413 body-too-large [#: the body is too large]"
    );
    assert!(
        post("text/plain", b"{}".to_vec())
            .await
            .starts_with("415 unsupported-media-type [header:content-type")
    );
}

#[tokio::test]
async fn weird_headers_do_no_harm() {
    let world = World::new().await;
    let weird = [
        ("prefer", "wait=soon", 400),
        ("prefer", "wait=-5", 400),
        ("prefer", "respond-async", 202),
        ("content-type", "application/json", 202),
        ("x-request-id", "a b", 202),
        ("accept", "ü", 202),
        ("content-length", "not-a-number", 202),
    ];
    for (number, (name, value, status)) in weird.into_iter().enumerate() {
        let key = format!("k{number}");
        let headers = [("idempotency-key", key.as_str()), (name, value)];
        let answer = world.post("/v1/orders", &headers, &order("c-1", 1)).await;
        assert_eq!(answer.status, status, "{name}: {value}: {answer:?}");
    }
}

#[tokio::test]
async fn a_saga_of_any_definition_is_started_under_the_same_rules() {
    let world = World::new().await;
    let id = world.order("k0", &order("c-1", 1)).await.id();
    let input = world.core.store().saga(id.parse().unwrap()).await.unwrap().unwrap().input;
    let start =
        async |key: &str, saga: &Value| world.post("/v1/sagas", &[("idempotency-key", key)], saga).await;
    let saga = json!({ "definition": "order", "version": 1, "input": input });
    let first = start("k1", &saga).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{first:?}");
    assert_eq!((&first.body["definition"], &first.body["status"]), (&json!("order.v1"), &json!("running")));
    assert_eq!(start("k1", &saga).await.text, first.text);
    assert_eq!(world.get_admin(&format!("/v1/sagas/{}", first.id())).await.status, StatusCode::OK);

    let wrong = [
        (
            json!({ "definition": "odrer", "input": {} }),
            "400 unknown-definition [#/definition: not among the definitions that are loaded: ",
        ),
        (
            json!({ "definition": "order", "version": 9, "input": {} }),
            "400 unknown-definition [#/version: not among the definitions that are loaded: ",
        ),
        (json!({ "definition": "Order!" }), "400 invalid-body [#/definition: \"Order!\" is not a name"),
        (json!({ "definition": "order", "inptu": {} }), "400 invalid-body [#/inptu: unknown field"),
        (
            json!({ "definition": "order", "input": {} }),
            "400 invalid-body [#/input: \"customer_id\" is a required property; #/input: ",
        ),
        (
            json!({ "definition": "order", "input": null }),
            "400 invalid-body [#/input: null is not of type \"object\"]",
        ),
        (
            json!({ "definition": "order", "input": { "a/b": u64::MAX } }),
            "400 invalid-body [#/input/a~1b: 18446744073709551615 is more than 9223372036854775807; ",
        ),
    ];
    for (number, (body, expected)) in wrong.into_iter().enumerate() {
        let said = problem(&start(&format!("w{number}"), &body).await);
        assert!(said.starts_with(expected), "{body}: {said}");
    }
}

#[tokio::test]
async fn beside_the_routes_is_nothing() {
    let world = World::new().await;
    assert_eq!(problem(&world.get("/v1/nothing", &[]).await), "404 not-found []");
    assert_eq!(
        problem(&world.get("/v1/sagas/x/journal", &[]).await),
        "404 not-found []",
        "not on this listener"
    );
    let delete = world.request(Method::DELETE, "/v1/orders", &[]).body(Body::empty()).unwrap();
    let answer = ask(&world.public, delete).await;
    assert_eq!(problem(&answer), "405 method-not-allowed []");
    assert!(answer.headers.contains_key(header::ALLOW));
}
