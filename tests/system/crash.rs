//! 200 orders, and in the middle of them somebody is killed with SIGKILL and started again, or the broker
//! loses all it has stored. In the end all books agree.

use amends_tests::{
    Cluster, Dice, System,
    audit::{audit, pending, settled},
    eventually,
    traffic::{Submission, mixed, restock},
};

use crate::alone;

const ORDERS: u64 = 200;

/// Who is struck.
#[derive(Clone, Copy)]
enum Victim {
    Service(&'static str),
    /// Killed, and its store deleted.
    Broker,
}

/// Strikes once at a random moment of the submission, and once more when all is submitted.
async fn survive(victim: Victim, cluster: Option<&Cluster>) {
    survive_in(System::start(cluster).await, victim).await;
}

async fn survive_in(mut system: System, victim: Victim) {
    restock(&system).await;
    let mut dice = Dice::new("crash");
    let orders = mixed(ORDERS, &mut dice);
    let submission = Submission::start(&system, orders);
    let moment = 1 + usize::try_from(dice.below(ORDERS * 3 / 4)).expect("small");
    eventually(
        &format!("{moment} orders are accepted"),
        async || (submission.accepted() >= moment).then_some(()),
        async || system.dump().await,
    )
    .await;
    strike(victim, &mut system).await;
    let orders = submission.all().await;
    assert_ne!(pending(&system).await, Some(0), "nothing is under way: a blow would prove nothing");
    strike(victim, &mut system).await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;
}

async fn strike(victim: Victim, system: &mut System) {
    match victim {
        Victim::Service(name) => {
            system.kill(name);
            system.start_service(name);
            system.ready(name).await;
        }
        Victim::Broker => {
            system.broker.kill_and_wipe();
            system.broker.start_again();
        }
    }
}

#[tokio::test]
async fn the_orchestrator_may_be_killed() {
    let _turn = alone().await;
    survive(Victim::Service("orchestrator"), None).await;
}

#[tokio::test]
async fn inventory_may_be_killed() {
    let _turn = alone().await;
    survive(Victim::Service("inventory"), None).await;
}

#[tokio::test]
async fn payment_may_be_killed() {
    let _turn = alone().await;
    survive(Victim::Service("payment"), None).await;
}

#[tokio::test]
async fn notification_may_be_killed() {
    let _turn = alone().await;
    survive(Victim::Service("notification"), None).await;
}

#[tokio::test]
async fn the_broker_may_be_killed_and_wiped() {
    let _turn = alone().await;
    survive(Victim::Broker, None).await;
}

/// Few of them, so that there are many bundles.
const BUNDLES: [(&str, &str); 1] = [("AMENDS_NATS__BUNDLE_COUNT_MAX", "8")];

#[tokio::test]
async fn where_messages_travel_in_bundles_a_participant_may_be_killed() {
    let _turn = alone().await;
    survive_in(System::start_with(&BUNDLES).await, Victim::Service("inventory")).await;
}

#[tokio::test]
async fn where_messages_travel_in_bundles_the_broker_may_be_killed_and_wiped() {
    let _turn = alone().await;
    survive_in(System::start_with(&BUNDLES).await, Victim::Broker).await;
}

#[tokio::test]
async fn the_orchestrator_may_be_killed_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    survive(Victim::Service("orchestrator"), Some(&cluster)).await;
}

#[tokio::test]
async fn payment_may_be_killed_on_postgresql() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    survive(Victim::Service("payment"), Some(&cluster)).await;
}
