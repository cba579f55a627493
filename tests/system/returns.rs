//! Returns of orders, beside real services: what comes back is bounded by what was sold and paid, the books
//! balance, and nobody gets money twice, whoever is killed.

use amends_tests::{
    Cluster, System,
    audit::{audit_with, deals_settled, settled},
    deals::{Deal, Fate, Starts},
    eventually,
    traffic::{Kind, Order, Submission, restock},
};

use crate::alone;

const PIECE: i64 = 850;
const REFUSED: fn(&'static str, &'static str) -> Fate = |step, code| Fate::Compensated(Some(step), code);

async fn placed(system: &System, orders: Vec<Order>) -> Vec<Order> {
    let mut orders = Submission::start(system, orders).all().await;
    settled(system, &orders).await;
    orders.sort_by(|a, b| a.email.cmp(&b.email));
    orders
}

/// One after the other, for each decides what is left for the next.
async fn in_turn(system: &System, deals: Vec<Deal>) -> Vec<Deal> {
    let mut ended = Vec::new();
    for deal in deals {
        let started = Starts::of(system, vec![deal]).all().await;
        deals_settled(system, &started).await;
        ended.extend(started);
    }
    ended
}

async fn goods_come_back(cluster: Option<&Cluster>) {
    let system = System::start(cluster).await;
    restock(&system).await;
    let kinds = [Kind::Good, Kind::Good, Kind::Declined];
    let orders = (1..).zip(kinds).map(|(number, kind)| Order::new(kind, number, 3)).collect();
    let orders = placed(&system, orders).await;
    let [two_parts, whole, declined] = &orders[..] else { panic!("three orders") };

    let back = |order, number, pieces, amount, fate| Deal::giving_back(order, number, pieces, amount, fate);
    let mut stranger = back(whole, 6, 1, 1, REFUSED("refund", "other-customer"));
    stranger.input["customer_id"] = "somebody-else".into();
    let mut unknown = back(whole, 7, 1, 1, REFUSED("take-back", "unknown-order"));
    unknown.input["order_id"] = "0193f6a0-0000-7000-8000-000000000001".into();
    let deals = vec![
        back(two_parts, 1, 1, PIECE, Fate::Completed),
        back(two_parts, 2, 3, PIECE, REFUSED("take-back", "more-than-sold")),
        back(two_parts, 3, 1, 2 * PIECE + 1, REFUSED("refund", "more-than-paid")),
        back(two_parts, 4, 2, 2 * PIECE, Fate::Completed),
        back(two_parts, 5, 1, PIECE, REFUSED("take-back", "more-than-sold")),
        stranger,
        unknown,
        back(declined, 8, 1, PIECE, REFUSED("take-back", "not-sold")),
        // What was taken back for the refused returns can come back after all.
        back(whole, 9, 3, 3 * PIECE, Fate::Completed),
    ];
    let deals = in_turn(&system, deals).await;
    audit_with(&system, &orders, &deals).await;
}

#[tokio::test]
async fn goods_come_back_on_sqlite() {
    let _turn = alone().await;
    goods_come_back(None).await;
}

#[tokio::test]
async fn goods_come_back_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    goods_come_back(Some(&cluster)).await;
}

/// Two returns of each order at once, and everybody is killed in turn while they are under way.
#[tokio::test]
async fn returns_survive_kills() {
    const ORDERS: u64 = 30;
    let _turn = alone().await;
    let mut system = System::start(None).await;
    restock(&system).await;
    let orders = (0..ORDERS).map(|number| Order::new(Kind::Good, number, 2)).collect();
    let orders = placed(&system, orders).await;
    let back = |(number, order): (u64, &Order)| {
        [
            Deal::giving_back(order, 2 * number, 1, PIECE, Fate::Completed),
            Deal::giving_back(order, 2 * number + 1, 1, PIECE, Fate::Completed),
        ]
    };
    let starts = Starts::of(&system, (0..).zip(&orders).flat_map(back).collect());
    for (victim, moment) in [("inventory", 5), ("payment", 15), ("orchestrator", 25), ("provider", 35)] {
        eventually(
            &format!("{moment} returns are accepted"),
            async || (starts.accepted() >= moment).then_some(()),
            async || system.dump().await,
        )
        .await;
        system.kill(victim);
        system.start_service(victim);
        system.ready(victim).await;
    }
    let deals = starts.all().await;
    system.kill("payment");
    system.start_service("payment");
    system.ready("payment").await;
    deals_settled(&system, &deals).await;
    audit_with(&system, &orders, &deals).await;
}
