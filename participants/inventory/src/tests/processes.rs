//! Several processes of the inventory on one PostgreSQL, and many orders for the same few things.

use amends_contract::{Command, Outcome};
use amends_participant::testing::Bench;

use super::shop::{Inventory, bench, confirm, release, reserve};

const ORDERS: u64 = 120;

/// Wants two SKUs, in one order or the other.
fn order(number: u64) -> Command {
    let lines = [("CUP-1", 1), ("POT-1", 1), ("TEA-1", 1)];
    let (a, b) = (lines[(number % 3) as usize], lines[((number + 1 + number / 3 % 2) % 3) as usize]);
    reserve(number, &[a, b])
}

async fn deliver(bench: &Bench, commands: &[Command]) {
    for batch in commands.chunks(30) {
        bench.deliver(batch.iter().map(|command| bench.delivery(command)).collect()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_at_two_processes_never_wait_in_a_circle() {
    let inventory = Inventory::postgres().await;
    for sku in ["CUP-1", "POT-1", "TEA-1"] {
        inventory.bring_in(sku, 1_000).await;
    }
    let other = bench(&inventory.url).await;
    let orders: Vec<_> = (1..=ORDERS).map(order).collect();
    let mut reversed = orders.clone();
    reversed.reverse();
    // Both get everything, in opposite directions: reserve all, confirm some, release the others.
    tokio::join!(deliver(&inventory.bench, &orders), deliver(&other, &reversed));
    let ends: Vec<_> = (1..)
        .zip(&orders)
        .map(|(number, order)| if number % 3 == 0 { release(order) } else { confirm(order) })
        .collect();
    let mut ends_reversed = ends.clone();
    ends_reversed.reverse();
    tokio::join!(deliver(&inventory.bench, &ends), deliver(&other, &ends_reversed));
    let (mut sold, mut released) = (0, 0);
    for end in &ends {
        match inventory.bench.outcome_of(&end.effect).await {
            Outcome::Succeeded { .. } => sold += 2,
            Outcome::Undone { .. } => released += 1,
            outcome => panic!("{}: {outcome:?}", end.effect),
        }
    }
    assert_eq!((sold, released), (160, 40));
    let mut deducted = 0;
    for sku in ["CUP-1", "POT-1", "TEA-1"] {
        let [_, reserved, gone, _] = inventory.stock(sku).await;
        assert_eq!(reserved, 0);
        deducted += gone;
    }
    assert_eq!(deducted, sold);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(count(&inventory, deadlocks).await, 0);
}

async fn count(inventory: &Inventory, sql: &str) -> i64 {
    use amends_participant::sea_orm::{ConnectionTrait, Statement};
    let db = inventory.bench.db().reader();
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}
