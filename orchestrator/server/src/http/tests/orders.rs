//! An order from the shop's side: taken, shown, listed, cancelled, and how it ends.

use axum::http::StatusCode;
use serde_json::json;

use super::problem;
use super::world::{World, all_well, declined, order, undone};

#[tokio::test]
async fn an_order_is_taken_before_it_is_settled_and_shown_as_it_stands() {
    let world = World::new().await;
    let taken = world.order("k1", &order("c-1", 2)).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{taken:?}");
    let id = taken.id();
    assert_eq!(taken.header("location"), format!("/v1/orders/{id}"));
    assert_eq!(taken.body["status"], "pending");
    assert_eq!(taken.body["total"], json!({ "amount": 3998, "currency": "EUR" }));
    assert!(taken.body.get("payment_token").is_none(), "a card's token is shown to nobody");

    let path = format!("/v1/orders/{id}");
    let shown = world.get(&path, &[]).await;
    assert_eq!((shown.status, &shown.body["created_at"]), (StatusCode::OK, &taken.body["created_at"]));
    let tag = shown.header("etag").to_owned();
    let unchanged = world.get(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (StatusCode::NOT_MODIFIED, ""));

    world.settle(&id, all_well).await;
    let confirmed = world.get(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((confirmed.status, &confirmed.body["status"]), (StatusCode::OK, &json!("confirmed")));
    assert!(confirmed.body.get("failure").is_none());
}

#[tokio::test]
async fn a_business_failure_is_a_rejected_order() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    world.settle(&id, declined).await;
    let shown = world.get(&format!("/v1/orders/{id}"), &[]).await;
    assert_eq!(shown.status, StatusCode::OK);
    assert_eq!(shown.body["status"], "rejected");
    assert_eq!(
        shown.body["failure"],
        json!({ "code": "card-declined", "detail": "the card was declined", "step": "charge-payment" })
    );
}

#[tokio::test]
async fn who_waits_gets_the_end() {
    let world = World::new().await;
    let wait = [("idempotency-key", "k1"), ("prefer", "wait=20")];
    let body = order("c-1", 1);
    let (answer, ()) = tokio::join!(world.post("/v1/orders", &wait, &body), async {
        loop {
            let list = world.get("/v1/orders", &[]).await;
            if let Some(id) = list.body["orders"][0]["id"].as_str() {
                world.settle(id, all_well).await;
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!((answer.status, &answer.body["status"]), (StatusCode::OK, &json!("confirmed")), "{answer:?}");
    assert_eq!(answer.header("preference-applied"), "wait=20");
    assert!(answer.header("etag").starts_with("W/"));

    // Asked again it waits again, and need not wait long.
    let again = world.post("/v1/orders", &wait, &body).await;
    assert_eq!((again.status, &again.body), (StatusCode::OK, &answer.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    // Without waiting it is the first answer: the order as it was taken.
    let first = world.order("k1", &body).await;
    assert_eq!((first.status, &first.body["status"]), (StatusCode::ACCEPTED, &json!("pending")));
}

#[tokio::test]
async fn a_wait_ends_in_time_and_with_the_process() {
    let world = World::new().await;
    let now = [("idempotency-key", "k1"), ("prefer", "wait=0")];
    let answer = world.post("/v1/orders", &now, &order("c-1", 1)).await;
    assert_eq!((answer.status, answer.header("preference-applied")), (StatusCode::ACCEPTED, "wait=0"));

    // It would take 30 seconds otherwise, which the test's patience below does not have.
    let long = [("idempotency-key", "k2"), ("prefer", "wait=30")];
    let order = order("c-1", 1);
    let waiting = world.post("/v1/orders", &long, &order);
    let stop = async {
        while world.get("/v1/orders", &[]).await.body["orders"].as_array().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        world.shutdown.cancel();
    };
    let both = async { tokio::join!(waiting, stop).0 };
    let answer = tokio::time::timeout(std::time::Duration::from_secs(25), both).await.unwrap();
    assert_eq!((answer.status, answer.header("location").is_empty()), (StatusCode::ACCEPTED, false));
}

#[tokio::test]
async fn orders_are_found_by_customer_and_status_page_by_page() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        let customer = if number % 2 == 0 { "even" } else { "odd" };
        ids.push(world.order(&format!("k{number}"), &order(customer, 1)).await.id());
    }
    world.settle(&ids[0], all_well).await;
    world.settle(&ids[1], declined).await;
    assert_eq!(world.post(&format!("/v1/orders/{}/cancel", ids[2]), &[], &json!({})).await.status, 202);
    world.settle(&ids[2], undone).await;

    let find = async |query: &str| {
        let list = world.get(&format!("/v1/orders{query}"), &[]).await;
        assert_eq!(list.status, StatusCode::OK, "{list:?}");
        let orders = list.body["orders"].as_array().unwrap();
        let found: Vec<usize> =
            orders.iter().map(|order| ids.iter().position(|id| order["id"] == **id).unwrap()).collect();
        (found, list.body["next_cursor"].as_str().map(str::to_owned))
    };
    assert_eq!(find("").await, (vec![4, 3, 2, 1, 0], None));
    assert_eq!(find("?customer=even").await.0, [4, 2, 0]);
    assert_eq!(find("?customer=nobody").await.0, [0; 0]);
    assert_eq!(find("?status=pending").await.0, [4, 3]);
    assert_eq!(find("?status=confirmed").await.0, [0]);
    assert_eq!(find("?status=rejected").await.0, [1]);
    assert_eq!(find("?status=cancelled").await.0, [2]);
    assert_eq!(find("?status=pending&customer=odd").await.0, [3]);
    let (page, next) = find("?limit=2").await;
    assert_eq!(page, [4, 3]);
    let (page, next) = find(&format!("?limit=2&cursor={}", next.unwrap())).await;
    assert_eq!(page, [2, 1]);
    assert_eq!(find(&format!("?limit=2&cursor={}", next.unwrap())).await, (vec![0], None));

    let wrong = async |query: &str| problem(&world.get(&format!("/v1/orders{query}"), &[]).await);
    assert_eq!(
        wrong("?status=lost").await,
        "400 invalid-query [?status: \"lost\" is not a status: pending, confirmed, rejected, cancelled or abandoned]"
    );
    assert_eq!(wrong("?limit=0").await, "400 invalid-query [?limit: 1 to 200 rows can be asked for]");
    assert_eq!(wrong("?limit=201").await, "400 invalid-query [?limit: 1 to 200 rows can be asked for]");
    assert!(wrong("?cursor=x").await.starts_with("400 invalid-query [?cursor: \"x\" is not a saga id"));
    assert!(wrong("?colour=red").await.starts_with("400 invalid-query [?colour: unknown field"));
}

#[tokio::test]
async fn an_order_is_cancelled_until_the_point_of_no_return() {
    let world = World::new().await;
    let id = world.order("k1", &order("c-1", 1)).await.id();
    let path = format!("/v1/orders/{id}/cancel");
    let cancelled = world.post(&path, &[], &json!({ "reason": "changed my mind" })).await;
    assert_eq!(
        (cancelled.status, cancelled.header("location")),
        (StatusCode::ACCEPTED, format!("/v1/orders/{id}").as_str())
    );
    world.settle(&id, undone).await;
    let shown = world.get(&format!("/v1/orders/{id}"), &[]).await;
    assert_eq!(shown.body["status"], "cancelled");
    assert_eq!(shown.body["failure"], json!({ "code": "cancelled", "detail": "changed my mind" }));
    let again = world.post(&path, &[], &json!({})).await;
    assert_eq!((again.status, &again.body["status"]), (StatusCode::OK, &json!("cancelled")));

    let id = world.order("k2", &order("c-1", 1)).await.id();
    world.settle(&id, all_well).await;
    let refused = world.post(&format!("/v1/orders/{id}/cancel"), &[], &json!({})).await;
    assert_eq!(problem(&refused), "409 refused []");
    assert_eq!(refused.body["detail"], "the saga is completed; allowed now: nothing");
}

#[tokio::test]
async fn what_is_no_order_is_not_found() {
    let world = World::new().await;
    let nowhere = "/v1/orders/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10";
    assert_eq!(problem(&world.get(nowhere, &[]).await), "404 not-found []");
    let cancel = world.post(&format!("{nowhere}/cancel"), &[], &json!({})).await;
    assert_eq!(problem(&cancel), "404 not-found []");
    for wrong in ["x", "%00", "%ff"] {
        let answer = world.get(&format!("/v1/orders/{wrong}"), &[]).await;
        assert!(problem(&answer).starts_with("400 invalid-path ["), "{answer:?}");
    }
}
