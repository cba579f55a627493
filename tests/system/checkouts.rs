//! Orders as steps of other sagas, which are started by hand or by an event: parents and children settle
//! together, whatever is killed or wiped meanwhile.

use std::collections::BTreeMap;

use amends_tests::{
    Cluster, Definitions, Dice, System, Wire,
    audit::audit,
    eventually, eventually_with_progress,
    traffic::{Kind, Order, mixed, restock},
};
use serde_json::{Value, json};

use crate::alone;

/// An order, and nothing behind it: the checkout ends as its order does.
const CHECKOUT: &str = "
saga: checkout
version: 1
input: schemas/checkout-input.json
labels: { customer: =input.order.customer_id }
starts_on: { event: cart.checked-out, input: { order: =event.data } }
steps:
  - name: order
    kind: compensatable
    call: { saga: order }
    with: =input.order
    resend_after: 2s
    undo: none
    because: an order that is confirmed stays so
output: { order: =saga.id }
";

const CHECKOUT_INPUT: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["order"],
  "properties": {
    "order": { "type": "object", "properties": { "email": { "type": "string", "pattern": "@" } } }
  }
}"#;

const CHECKOUTS: u64 = 60;

/// With the folder of its definitions, which is read again at each start.
async fn started(cluster: Option<&Cluster>) -> (System, Definitions) {
    let definitions = Definitions::of(&["order.v1"]);
    definitions.write("checkout.v1.yaml", CHECKOUT);
    definitions.write("schemas/checkout-input.json", CHECKOUT_INPUT);
    let system = System::start_on(&definitions, cluster).await;
    restock(&system).await;
    (system, definitions)
}

/// The order as a saga's input: with what the order API would have added.
fn input(order: &Order) -> Value {
    let mut input = order.body();
    input["total"] = json!({ "amount": order.total, "currency": "EUR" });
    input
}

/// The checkouts by customer, as operators see them.
async fn checkouts(system: &System) -> Option<BTreeMap<String, Value>> {
    let authorization = system.authorization();
    let url = system.admin("/v1/sagas?definition=checkout&limit=200");
    let answer = system.client.send("GET", &url, &[("authorization", &authorization)], None).await.ok()?;
    let sagas = answer.body["sagas"].as_array()?.clone();
    let mut found = BTreeMap::new();
    for saga in sagas {
        let customer = saga["labels"]["customer"].as_str()?.to_owned();
        assert!(found.insert(customer, saga).is_none(), "two checkouts of one customer");
    }
    Some(found)
}

/// Waits until there is an ended checkout for each order; gives the orders the ids of the children.
async fn settled(system: &System, orders: &mut [Order]) {
    let is_over = |saga: &Value| matches!(saga["status"].as_str(), Some("completed" | "compensated"));
    let count = orders.len();
    let ended = eventually_with_progress(
        "every checkout has ended",
        async || {
            let found = checkouts(system).await.unwrap_or_default();
            let over = found.values().filter(|saga| is_over(saga)).count();
            ((over == count).then_some(found), over)
        },
        async || system.dump().await,
    )
    .await;
    for order in orders {
        let customer = order.email.split('@').next().expect("a name");
        let checkout = system.saga(ended[customer]["id"].as_str().expect("an id")).await;
        let action = &checkout["steps"][0]["action"];
        let (status, state) = match order.kind.rejection() {
            None => ("completed", "succeeded"),
            Some(_) => ("compensated", "rejected"),
        };
        assert_eq!((&checkout["status"], &action["state"]), (&json!(status), &json!(state)), "{checkout:#}");
        order.id = action["saga"].as_str().expect("the child's id").to_owned();
        let child = system.saga(&order.id).await;
        assert_eq!(child["parent"]["id"], checkout["id"], "{child:#}");
        if let Some((_, code)) = order.kind.rejection() {
            assert_eq!(
                (&checkout["failure"]["step"], &checkout["failure"]["code"]),
                (&json!("order"), &json!(code))
            );
        }
    }
}

/// Places all, each until it is taken; at moments that the dice choose, the orchestrator dies.
async fn survive(cluster: Option<&Cluster>) {
    let (mut system, _definitions) = started(cluster).await;
    let mut dice = Dice::new("checkouts");
    let mut orders = mixed(CHECKOUTS, &mut dice);
    let door = system.door();
    for (number, order) in (0_u64..).zip(&orders) {
        if dice.below(CHECKOUTS) < 4 || number == CHECKOUTS / 2 {
            system.kill("orchestrator");
            system.start_service("orchestrator");
        }
        let body = json!({ "definition": "checkout", "input": { "order": input(order) } });
        eventually(
            "a checkout is taken",
            async || door.saga(&order.email, &body).await.ok().filter(|answer| answer.status == 202),
            async || system.dump().await,
        )
        .await;
    }
    system.kill("orchestrator");
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    settled(&system, &mut orders).await;
    audit(&system, &orders).await;
}

#[tokio::test]
async fn parents_and_children_settle_though_the_orchestrator_is_killed() {
    let _turn = alone().await;
    survive(None).await;
}

#[tokio::test]
async fn parents_and_children_settle_though_the_orchestrator_is_killed_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    survive(Some(&cluster)).await;
}

const CHECKED_OUT: &str = "amends.event.cart.checked-out";

fn event(order: &Order) -> Vec<u8> {
    event_of_type("event.cart.checked-out", order)
}

fn event_of_type(message_type: &str, order: &Order) -> Vec<u8> {
    let event = json!({
        "specversion": "1.0",
        "id": format!("cart of {}", order.email),
        "source": "https://shop.example/carts",
        "type": message_type,
        "time": "2026-11-21T08:02:49.123Z",
        "data": input(order),
    });
    event.to_string().into_bytes()
}

/// Reasons of the dead letters that are stored so far.
async fn reasons(system: &System) -> Vec<String> {
    let authorization = system.authorization();
    let url = system.admin("/v1/dead-letters?limit=200");
    let answer = system.client.send("GET", &url, &[("authorization", &authorization)], None).await;
    let letters = answer.ok().and_then(|answer| answer.body["dead_letters"].as_array().cloned());
    let code = |letter: &Value| Some(letter["code"].as_str()?.to_owned());
    let mut reasons: Vec<String> = letters.iter().flatten().filter_map(code).collect();
    reasons.sort();
    reasons
}

#[tokio::test]
async fn an_event_starts_a_saga_once_whatever_happens_to_it() {
    let _turn = alone().await;
    let (mut system, _definitions) = started(None).await;
    let mut orders: Vec<Order> = (0..12)
        .map(|number| Order::new(if number % 4 == 3 { Kind::Declined } else { Kind::Good }, number, 1))
        .collect();
    let mut wire = Wire::connect(&system.broker.url());
    let (first, rest) = orders.split_at(4);
    for order in first {
        wire.publish(CHECKED_OUT, &event(order));
        wire.publish(CHECKED_OUT, &event(order));
    }
    // None of these may stop the others.
    let mut wrong = Order::new(Kind::Good, 100, 1);
    wrong.email = "no address".to_owned();
    wire.publish(CHECKED_OUT, b"this is no JSON");
    wire.publish(CHECKED_OUT, &event(&wrong));
    wire.publish(CHECKED_OUT, &event_of_type("event.cart.emptied", &wrong));

    // What comes while nobody is there is read later.
    system.kill("orchestrator");
    for order in rest {
        wire.publish(CHECKED_OUT, &event(order));
    }
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    settled(&system, &mut orders).await;
    eventually(
        "each poisoned event is a dead letter",
        async || (reasons(&system).await == ["invalid-input", "not-json", "unroutable"]).then_some(()),
        async || format!("{:?}", reasons(&system).await),
    )
    .await;

    // The broker forgets all, and the shop tells all of it again.
    system.broker.kill_and_wipe();
    system.broker.start_again();
    let mut wire = eventually(
        "the event stream is there again",
        async || {
            let mut wire = Wire::connect(&system.broker.url());
            let info = wire.api("STREAM.INFO.AMENDS_EVENT", &json!({}));
            info.get("state").is_some().then_some(wire)
        },
        async || system.dump().await,
    )
    .await;
    for order in &orders {
        wire.publish(CHECKED_OUT, &event(order));
    }
    let late = Order::new(Kind::Good, 50, 1);
    wire.publish(CHECKED_OUT, &event(&late));
    orders.push(late);
    settled(&system, &mut orders).await;
    audit(&system, &orders).await;
}
