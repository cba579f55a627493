//! Companies' orders: branches side by side, an approval above a limit, one mail per recipient; approved,
//! not approved in time, refused on one branch while the other is in flight, and under kills.

use amends_tests::{
    Cluster, Definitions, System,
    audit::{audit_with, deals_settled},
    deals::{Deal, Fate, Starts},
    eventually,
    traffic::{PLENTY, restock},
};
use serde_json::json;

use crate::alone;

/// Pieces of an order that somebody has to approve, and of one that nobody has to.
const MUCH: u64 = 200;
const LITTLE: u64 = 3;

/// A system whose approvals are waited for only so long.
async fn with_patience(timeout: &str, cluster: Option<&Cluster>) -> (System, Definitions) {
    let definitions = Definitions::of(&["order.v1", "b2b-order.v1"]);
    definitions.derive(
        "b2b-order.v1.yaml",
        "b2b-order.v1.yaml",
        &[("timeout: 48h", &format!("timeout: {timeout}"))],
    );
    let system = System::start_on(&definitions, cluster).await;
    restock(&system).await;
    (system, definitions)
}

async fn approve(system: &System, deal: &Deal) {
    system.step_is(&deal.id, "approval", "awaiting").await;
    system.signal(&deal.id, "approval", &json!({ "by": "the chief of purchasing" })).await;
}

async fn orders_of_companies(cluster: Option<&Cluster>) {
    let (system, _definitions) = with_patience("48h", cluster).await;
    let mut unicorns =
        Deal::of_company(4, MUCH, "tok_visa", Fate::Compensated(Some("reserve-stock"), "unknown-sku"));
    unicorns.input["lines"][0]["sku"] = json!("UNICORN-1");
    let declined = Fate::Compensated(Some("charge-payment"), "card-declined");
    let deals = vec![
        Deal::of_company(1, LITTLE, "tok_visa", Fate::Completed),
        Deal::of_company(2, MUCH, "tok_visa", Fate::Completed),
        Deal::of_company(3, MUCH, "tok_declined", declined),
        unicorns,
    ];
    let deals = Starts::of(&system, deals).all().await;
    let much = deals.iter().find(|deal| deal.key == "company-2").expect("it was started");
    approve(&system, much).await;
    deals_settled(&system, &deals).await;
    audit_with(&system, &[], &deals).await;
    let shown = system.saga(&much.id).await;
    let reservation = &shown["steps"][0]["action"]["output"]["reservation_id"];
    assert!(reservation.is_string() && shown["output"]["reservation"] == *reservation, "{shown}");
}

#[tokio::test]
async fn orders_of_companies_meet_their_fates_on_sqlite() {
    let _turn = alone().await;
    orders_of_companies(None).await;
}

#[tokio::test]
async fn orders_of_companies_meet_their_fates_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    orders_of_companies(Some(&cluster)).await;
}

#[tokio::test]
async fn what_nobody_approves_in_time_is_undone() {
    let _turn = alone().await;
    let (system, _definitions) = with_patience("1s", None).await;
    let fate = Fate::Compensated(Some("approval"), "timeout");
    let deals = vec![
        Deal::of_company(1, MUCH, "tok_visa", fate),
        Deal::of_company(2, LITTLE, "tok_visa", Fate::Completed),
    ];
    let deals = Starts::of(&system, deals).all().await;
    deals_settled(&system, &deals).await;
    audit_with(&system, &[], &deals).await;
}

/// The reservation is refused at once; the charge is still at the provider and nobody knows how it ends.
#[tokio::test]
async fn one_branch_is_refused_while_the_other_is_in_flight() {
    let _turn = alone().await;
    let (system, _definitions) = with_patience("48h", None).await;
    let fate = Fate::Compensated(Some("reserve-stock"), "out-of-stock");
    let deals = (1..=10).map(|number| {
        let mut deal = Deal::of_company(number, MUCH, "tok_timeout", fate);
        deal.input["lines"][0]["quantity"] = json!(PLENTY.1 + 1);
        deal
    });
    let deals = Starts::of(&system, deals.collect()).all().await;
    deals_settled(&system, &deals).await;
    audit_with(&system, &[], &deals).await;
}

/// Half of them wait for their approval while everybody is killed.
#[tokio::test]
async fn orders_of_companies_survive_kills() {
    const DEALS: u64 = 40;
    let _turn = alone().await;
    let (mut system, _definitions) = with_patience("48h", None).await;
    let deal = |number: u64| {
        let declined = Fate::Compensated(Some("charge-payment"), "card-declined");
        match number % 4 {
            0 => Deal::of_company(number, MUCH, "tok_visa", Fate::Completed),
            1 => Deal::of_company(number, LITTLE, "tok_visa", Fate::Completed),
            2 => Deal::of_company(number, MUCH, "tok_declined", declined),
            _ => Deal::of_company(number, LITTLE, "tok_timeout", Fate::Completed),
        }
    };
    let starts = Starts::of(&system, (0..DEALS).map(deal).collect());
    for (victim, moment) in [("orchestrator", 5), ("inventory", 15), ("payment", 25), ("notification", 30)] {
        eventually(
            &format!("{moment} orders are accepted"),
            async || (starts.accepted() >= moment).then_some(()),
            async || system.dump().await,
        )
        .await;
        strike(&mut system, victim).await;
    }
    let deals = starts.all().await;
    for (index, deal) in deals.iter().filter(|deal| needs_approval(deal)).enumerate() {
        approve(&system, deal).await;
        if index == 3 {
            strike(&mut system, "orchestrator").await;
        }
    }
    deals_settled(&system, &deals).await;
    audit_with(&system, &[], &deals).await;
}

fn needs_approval(deal: &Deal) -> bool {
    deal.is_completed() && deal.money > 100_000
}

async fn strike(system: &mut System, victim: &str) {
    system.kill(victim);
    system.start_service(victim);
    system.ready(victim).await;
}
