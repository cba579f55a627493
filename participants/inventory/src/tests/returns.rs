//! What returns do to stock, and what they refuse.

use amends_contract::{Command, Outcome};
use amends_participant::sea_orm::ConnectionTrait;
use amends_participant::testing::{Bench, Cluster};
use amends_participant::{Database, Participant, Pools};
use amends_service::openapi;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use sea_orm_migration::MigrationTrait;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::shop::{
    Inventory, bench, cancel_take_back, confirm, put_back, rejected, release, reserve, take_back,
};
use crate::http::{Shown, router};
use crate::migration;

on_both_databases!(
    goods_come_back_to_the_shelf,
    a_cancelled_return_leaves_the_goods_sold,
    no_more_comes_back_than_was_sold,
    only_what_was_sold_comes_back,
    a_return_ends_once,
    data_that_cannot_be_read_is_rejected_with_the_reason,
    returns_of_one_order_in_one_batch_see_each_other,
    returns_are_listed_by_order,
);

/// A confirmed order.
async fn sold(inventory: &Inventory, number: u64, lines: &[(&str, i64)]) -> Command {
    let order = reserve(number, lines);
    inventory.bench.ask(&order).await;
    assert_eq!(inventory.bench.ask(&confirm(&order)).await.outcome, done());
    order
}

fn taken(command: &Command) -> Outcome {
    Outcome::Succeeded { output: json!({ "return_id": command.effect }).into() }
}

fn done() -> Outcome {
    Outcome::Succeeded { output: Value::Null.into() }
}

async fn goods_come_back_to_the_shelf(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4), ("CUP-1", 1)]).await;
    let part = take_back(2, &order, &[("TEA-1", 1), ("CUP-1", 1), ("TEA-1", 2)]);
    assert_eq!(inventory.bench.ask(&part).await.outcome, taken(&part));
    assert_eq!(inventory.stock("TEA-1").await, [6, 0, 4, 10], "on the way is not on the shelf");
    assert_eq!(inventory.bench.ask(&put_back(&part)).await.outcome, done());
    assert_eq!(inventory.bench.ask(&put_back(&part)).await.outcome, done());
    assert_eq!(inventory.stock("TEA-1").await, [9, 0, 1, 10]);
    assert_eq!(inventory.stock("CUP-1").await, [5, 0, 0, 5]);
    let again = reserve(3, &[("CUP-1", 5)]);
    assert!(matches!(inventory.bench.ask(&again).await.outcome, Outcome::Succeeded { .. }));
}

async fn a_cancelled_return_leaves_the_goods_sold(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4)]).await;
    let first = take_back(2, &order, &[("TEA-1", 4)]);
    inventory.bench.ask(&first).await;
    for epoch in 1..=2 {
        let mut again = cancel_take_back(&first);
        again.effect.epoch = epoch;
        assert_eq!(inventory.bench.ask(&again).await.outcome, Outcome::Undone { output: Value::Null.into() });
    }
    assert_eq!(inventory.stock("TEA-1").await, [6, 0, 4, 10]);
    let expected = rejected("return-cancelled", &format!("return {} was cancelled", first.effect));
    assert_eq!(inventory.bench.ask(&put_back(&first)).await.outcome, expected);
    let second = take_back(3, &order, &[("TEA-1", 4)]);
    assert_eq!(inventory.bench.ask(&second).await.outcome, taken(&second), "they may come back after all");
}

async fn no_more_comes_back_than_was_sold(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4)]).await;
    let first = take_back(2, &order, &[("TEA-1", 3)]);
    inventory.bench.ask(&first).await;
    let name = order.effect.saga;
    let refused = |wanted: i64, left: i64| {
        let text = format!("order {name}: TEA-1: {wanted} to come back, and {left} of those sold can");
        rejected("more-than-sold", &text)
    };
    let greedy = take_back(3, &order, &[("TEA-1", 2)]);
    assert_eq!(inventory.bench.ask(&greedy).await.outcome, refused(2, 1), "on its way counts");
    inventory.bench.ask(&put_back(&first)).await;
    let greedy = take_back(4, &order, &[("TEA-1", 2)]);
    assert_eq!(inventory.bench.ask(&greedy).await.outcome, refused(2, 1), "back counts");
    let rest = take_back(5, &order, &[("TEA-1", 1)]);
    assert_eq!(inventory.bench.ask(&rest).await.outcome, taken(&rest));
    inventory.bench.ask(&put_back(&rest)).await;
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn only_what_was_sold_comes_back(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 1)]).await;
    let other = take_back(2, &order, &[("CUP-1", 1)]);
    let text = format!("order {}: CUP-1: 1 to come back, and 0 of those sold can", order.effect.saga);
    assert_eq!(inventory.bench.ask(&other).await.outcome, rejected("more-than-sold", &text));

    let unknown = take_back(3, &reserve(9, &[]), &[("TEA-1", 1)]);
    let text = format!("order {}: nothing is known of that order", reserve(9, &[]).effect.saga);
    assert_eq!(inventory.bench.ask(&unknown).await.outcome, rejected("unknown-order", &text));

    let open = reserve(4, &[("TEA-1", 1)]);
    inventory.bench.ask(&open).await;
    let code = async |number: u64| match inventory.bench.ask(&take_back(number, &open, &[("TEA-1", 1)])).await
    {
        amends_contract::Reply { outcome: Outcome::Rejected { code, .. }, .. } => code,
        reply => panic!("{reply:?}"),
    };
    assert_eq!(code(5).await, "not-sold", "reserved only");
    inventory.bench.ask(&release(&open)).await;
    assert_eq!(code(6).await, "not-sold", "released");
}

async fn a_return_ends_once(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4)]).await;
    let part = take_back(2, &order, &[("TEA-1", 2)]);
    inventory.bench.ask(&part).await;
    inventory.bench.ask(&put_back(&part)).await;
    let mut second = put_back(&part);
    second.effect.epoch = 2;
    let text = format!("return {} was restocked by another command", part.effect);
    assert_eq!(inventory.bench.ask(&second).await.outcome, rejected("already-restocked", &text));
    let text = format!("the goods of return {} are on the shelf again", part.effect);
    let undo = cancel_take_back(&part);
    assert_eq!(inventory.bench.ask(&undo).await.outcome, rejected("already-restocked", &text));
    assert_eq!(inventory.stock("TEA-1").await, [8, 0, 2, 10]);
    let text = format!("return {} does not exist", order.effect);
    assert_eq!(inventory.bench.ask(&put_back(&order)).await.outcome, rejected("unknown-return", &text));
    // An undo before its action.
    let late = take_back(3, &order, &[("TEA-1", 1)]);
    assert_eq!(inventory.bench.ask(&cancel_take_back(&late)).await.outcome, Outcome::NothingToUndo);
    assert_eq!(inventory.bench.ask(&late).await.outcome, Outcome::Cancelled);
}

async fn data_that_cannot_be_read_is_rejected_with_the_reason(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4)]).await;
    let good = take_back(2, &order, &[("TEA-1", 1)]);
    let mut number = 10;
    for (name, value) in [("order", json!("4711")), ("order", Value::Null), ("lines", json!([]))] {
        number += 1;
        let mut data = Value::from(good.data.clone());
        data[name] = value;
        let wrong = Command { data: data.into(), ..take_back(number, &order, &[]) };
        let outcome = inventory.bench.ask(&wrong).await.outcome;
        assert!(matches!(&outcome, Outcome::Rejected { code, .. } if code == "invalid-data"), "{outcome:?}");
    }
}

async fn returns_of_one_order_in_one_batch_see_each_other(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 3)]).await;
    let all: Vec<_> = (2..=9).map(|number| take_back(number, &order, &[("TEA-1", 1)])).collect();
    inventory.bench.deliver(all.iter().map(|one| inventory.bench.delivery(one)).collect()).await;
    let mut won = 0;
    for one in &all {
        if inventory.bench.outcome_of(&one.effect).await == taken(one) {
            won += 1;
            assert_eq!(inventory.bench.ask(&put_back(one)).await.outcome, done());
        }
    }
    assert_eq!(won, 3);
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn returns_are_listed_by_order(inventory: Inventory) {
    let order = sold(&inventory, 1, &[("TEA-1", 4)]).await;
    let other = sold(&inventory, 2, &[("TEA-1", 1)]).await;
    for (number, order) in [(3, &order), (4, &other), (5, &order), (6, &order)] {
        inventory.bench.ask(&take_back(number, order, &[("TEA-1", 1)])).await;
    }
    inventory.bench.ask(&put_back(&take_back(3, &order, &[("TEA-1", 1)]))).await;
    let get = async |path: String| -> Value {
        let shown = Shown { db: inventory.bench.db().clone(), page_count: 2, page_count_max: 3 };
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = openapi::with_docs(router(shown)).oneshot(request).await.unwrap();
        serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap()
    };
    let first = get(format!("/returns?order={}", order.effect.saga)).await;
    assert_eq!(first["items"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&first["items"][0]["state"], &first["items"][1]["state"]),
        (&json!("restocked"), &json!("expected"))
    );
    assert_eq!(first["items"][0]["lines"], json!({ "TEA-1": 1 }));
    let next = first["next"].as_str().unwrap();
    let last = get(format!("/returns?order={}&cursor={next}", order.effect.saga)).await;
    assert_eq!((last["items"].as_array().unwrap().len(), &last["next"]), (1, &Value::Null));
}

/// An inventory that was left before there were returns, with a sale in it.
async fn upgraded(url: &str) {
    fn before() -> Vec<Box<dyn MigrationTrait>> {
        vec![migration::all().remove(0)]
    }
    let order = reserve(1, &[("TEA-1", 2)]);
    let db = Database::connect(url, &Pools::default()).await.unwrap();
    Participant::new("inventory").migrations(before).migrate(&db).await.unwrap();
    let tx = db.begin().await.unwrap();
    let id = &order.effect;
    for sql in [
        "INSERT INTO stock VALUES ('TEA-1', 8, 0, 2, 10, 0)".to_owned(),
        format!("INSERT INTO reservation VALUES ('{id}', 'confirmed', '{{\"TEA-1\":2}}', 0, 0)"),
    ] {
        tx.execute_unprepared(&sql).await.unwrap();
    }
    tx.commit().await.unwrap();
    db.close().await;
    let bench: Bench = bench(url).await;
    let back = take_back(2, &order, &[("TEA-1", 2)]);
    assert_eq!(bench.ask(&back).await.outcome, taken(&back));
    assert_eq!(bench.ask(&put_back(&back)).await.outcome, done());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_from_before_there_were_returns_come_back() {
    let folder = tempfile::tempdir().unwrap();
    upgraded(&format!("sqlite://{}/inventory.db", folder.path().display())).await;
    upgraded(&Cluster::database()).await;
}
