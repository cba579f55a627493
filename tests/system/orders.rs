//! Orders of every kind, on SQLite and on PostgreSQL.

use amends_tests::{
    Cluster, Dice, System,
    audit::{audit, settled},
    traffic::{Kind, Order, Submission, mixed, restock},
};

use crate::alone;

/// One order of each kind, then many at once.
async fn orders(cluster: Option<&Cluster>) {
    let system = System::start(cluster).await;
    restock(&system).await;
    let kinds =
        [Kind::Good, Kind::Timeout, Kind::OutOfStock, Kind::UnknownSku, Kind::Declined, Kind::Insufficient];
    let each = (1_000..).zip(kinds).map(|(number, kind)| Order::new(kind, number, 2));
    let mut all: Vec<_> = each.chain(mixed(60, &mut Dice::new("orders"))).collect();
    all = Submission::start(&system, all).all().await;
    settled(&system, &all).await;
    audit(&system, &all).await;
}

#[tokio::test]
async fn orders_meet_their_fates_on_sqlite() {
    let _turn = alone().await;
    orders(None).await;
}

#[tokio::test]
async fn orders_meet_their_fates_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    orders(Some(&cluster)).await;
}
