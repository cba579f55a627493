//! What commands do to stock.

use amends_contract::{Command, Outcome};
use serde_json::{Value, json};

use super::shop::{Inventory, confirm, rejected, release, reserve, saga};

on_both_databases!(
    a_reservation_becomes_a_deduction,
    a_reservation_is_released,
    lines_of_one_sku_are_added_up,
    all_lines_or_nothing,
    the_last_piece_is_reserved_once,
    data_that_cannot_be_read_is_rejected_with_the_reason,
    a_confirmed_reservation_is_not_released,
    a_released_reservation_is_not_confirmed,
    a_reservation_that_does_not_exist_is_not_confirmed,
    a_release_by_another_epoch_changes_nothing_more,
    a_release_that_undoes_nothing_is_rejected,
    stock_that_was_tampered_with_is_left_alone,
);

fn reserved(reservation: &Command) -> Outcome {
    Outcome::Succeeded { output: json!({ "reservation_id": reservation.effect }).into() }
}

fn done() -> Outcome {
    Outcome::Succeeded { output: Value::Null.into() }
}

fn undone() -> Outcome {
    Outcome::Undone { output: Value::Null.into() }
}

async fn a_reservation_becomes_a_deduction(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4), ("CUP-1", 1)]);
    assert_eq!(inventory.bench.ask(&order).await.outcome, reserved(&order));
    assert_eq!(inventory.stock("TEA-1").await, [10, 4, 0, 10]);
    assert_eq!(inventory.bench.ask(&confirm(&order)).await.outcome, done());
    assert_eq!(inventory.stock("TEA-1").await, [6, 0, 4, 10]);
    assert_eq!(inventory.stock("CUP-1").await, [4, 0, 1, 5]);
    inventory.bring_in("TEA-1", 5).await;
    assert_eq!(inventory.stock("TEA-1").await, [11, 0, 4, 15]);
}

async fn a_reservation_is_released(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4), ("CUP-1", 1)]);
    inventory.bench.ask(&order).await;
    assert_eq!(inventory.bench.ask(&release(&order)).await.outcome, undone());
    assert_eq!(inventory.bench.ask(&release(&order)).await.outcome, undone());
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
    assert_eq!(inventory.stock("CUP-1").await, [5, 0, 0, 5]);
}

async fn lines_of_one_sku_are_added_up(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4), ("CUP-1", 1), ("TEA-1", 3)]);
    assert_eq!(inventory.bench.ask(&order).await.outcome, reserved(&order));
    assert_eq!(inventory.stock("TEA-1").await, [10, 7, 0, 10]);
    let greedy = reserve(2, &[("TEA-1", 2), ("TEA-1", 2)]);
    let expected = rejected("out-of-stock", "TEA-1: 4 wanted, 3 available");
    assert_eq!(inventory.bench.ask(&greedy).await.outcome, expected);
}

async fn all_lines_or_nothing(inventory: Inventory) {
    let cases = [
        (vec![("CUP-1", 1), ("TEA-1", 11)], rejected("out-of-stock", "TEA-1: 11 wanted, 10 available")),
        (vec![("CUP-1", 1), ("NONE-1", 1)], rejected("unknown-sku", "NONE-1: there is no such SKU")),
        (
            vec![("TEA-1", i64::MAX)],
            rejected("out-of-stock", "TEA-1: 9223372036854775807 wanted, 10 available"),
        ),
    ];
    for (number, (lines, expected)) in (1..).zip(cases) {
        assert_eq!(inventory.bench.ask(&reserve(number, &lines)).await.outcome, expected);
        assert_eq!(
            inventory.bench.ask(&release(&reserve(number, &lines))).await.outcome,
            Outcome::NothingToUndo
        );
    }
    assert_eq!(inventory.stock("CUP-1").await, [5, 0, 0, 5]);
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn the_last_piece_is_reserved_once(inventory: Inventory) {
    // All in one batch.
    let orders: Vec<_> = (1..=8).map(|number| reserve(number, &[("POT-1", 1)])).collect();
    inventory.bench.deliver(orders.iter().map(|order| inventory.bench.delivery(order)).collect()).await;
    let mut won = 0;
    for order in &orders {
        match inventory.bench.outcome_of(&order.effect).await {
            Outcome::Succeeded { .. } => won += 1,
            outcome => assert_eq!(outcome, rejected("out-of-stock", "POT-1: 1 wanted, 0 available")),
        }
    }
    assert_eq!(won, 3);
    assert_eq!(inventory.stock("POT-1").await, [3, 3, 0, 3]);
}

async fn data_that_cannot_be_read_is_rejected_with_the_reason(inventory: Inventory) {
    let line = |quantity: Value| json!({ "lines": [{ "sku": "TEA-1", "quantity": quantity }] });
    for (number, data) in (1..).zip([
        json!({}),
        json!({ "lines": [] }),
        json!({ "lines": "TEA-1" }),
        line(json!(0)),
        line(json!(-4)),
        line(json!(1.5)),
        line(json!("1")),
        line(json!(u64::MAX)),
        json!({ "lines": [{ "sku": "TEA-1", "quantity": i64::MAX }, { "sku": "TEA-1", "quantity": 1 }] }),
    ]) {
        let order = Command { data: data.clone().into(), ..reserve(number, &[]) };
        let outcome = inventory.bench.ask(&order).await.outcome;
        assert!(
            matches!(&outcome, Outcome::Rejected { code, .. } if code == "invalid-data"),
            "{data}: {outcome:?}"
        );
    }
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn a_confirmed_reservation_is_not_released(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4)]);
    inventory.bench.ask(&order).await;
    inventory.bench.ask(&confirm(&order)).await;
    let message = format!("reservation {} has become a deduction", order.effect);
    assert_eq!(inventory.bench.ask(&release(&order)).await.outcome, rejected("already-confirmed", &message));
    assert_eq!(inventory.stock("TEA-1").await, [6, 0, 4, 10]);
    let mut second = confirm(&order);
    second.effect.epoch = 2;
    let message = format!("reservation {} was confirmed by another command", order.effect);
    assert_eq!(inventory.bench.ask(&second).await.outcome, rejected("already-confirmed", &message));
    assert_eq!(inventory.stock("TEA-1").await, [6, 0, 4, 10]);
}

async fn a_released_reservation_is_not_confirmed(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4)]);
    inventory.bench.ask(&order).await;
    inventory.bench.ask(&release(&order)).await;
    let message = format!("reservation {} was released", order.effect);
    assert_eq!(inventory.bench.ask(&confirm(&order)).await.outcome, rejected("already-released", &message));
    assert_eq!(inventory.stock("TEA-1").await, [10, 0, 0, 10]);
}

async fn a_reservation_that_does_not_exist_is_not_confirmed(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4)]);
    let message = format!("reservation {} does not exist", order.effect);
    assert_eq!(
        inventory.bench.ask(&confirm(&order)).await.outcome,
        rejected("unknown-reservation", &message)
    );
}

async fn a_release_by_another_epoch_changes_nothing_more(inventory: Inventory) {
    let order = reserve(1, &[("TEA-1", 4)]);
    inventory.bench.ask(&order).await;
    inventory.bench.ask(&reserve(2, &[("TEA-1", 1)])).await;
    for epoch in 1..=2 {
        let mut again = release(&order);
        again.effect.epoch = epoch;
        assert_eq!(inventory.bench.ask(&again).await.outcome, undone());
        assert_eq!(inventory.stock("TEA-1").await, [10, 1, 0, 10]);
    }
}

async fn a_release_that_undoes_nothing_is_rejected(inventory: Inventory) {
    let odd = amends_participant::testing::command(saga(1), "odd", "inventory.release-stock", json!({}));
    let outcome = inventory.bench.ask(&odd).await.outcome;
    assert_eq!(outcome, rejected("invalid-data", "inventory.release-stock undoes a reservation"));
}

async fn stock_that_was_tampered_with_is_left_alone(inventory: Inventory) {
    use amends_participant::sea_orm::ConnectionTrait;
    let order = reserve(1, &[("TEA-1", 4), ("CUP-1", 1)]);
    inventory.bench.ask(&order).await;
    let tx = inventory.bench.db().begin().await.unwrap();
    // Somebody takes the reservation's stock away by hand; the table itself denies worse.
    tx.execute_unprepared("UPDATE stock SET reserved = 0 WHERE sku = 'TEA-1'").await.unwrap();
    tx.commit().await.unwrap();
    let tx = inventory.bench.db().begin().await.unwrap();
    for worse in ["reserved = -1", "reserved = on_hand + 1", "deducted = -1", "on_hand = on_hand + 1"] {
        let savepoint = amends_participant::sea_orm::TransactionTrait::begin(&tx).await.unwrap();
        let changed = savepoint.execute_unprepared(&format!("UPDATE stock SET {worse}")).await;
        assert!(changed.is_err(), "{worse}");
        savepoint.rollback().await.unwrap();
    }
    tx.rollback().await.unwrap();
    for command in [confirm(&order), release(&order)] {
        let outcome = inventory.bench.ask(&command).await.outcome;
        assert_eq!(outcome, Outcome::Failed { code: "internal".to_owned(), retry_after_ms: None });
    }
}
