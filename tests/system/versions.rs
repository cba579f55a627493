//! Versions of a definition beside each other, through a restart; and a live one that nobody may edit.
//!
//! A saga is driven by the version it was started with, whatever was added since.

use amends_tests::{
    Definitions, System,
    audit::{audit, settled},
    eventually,
    traffic::{Kind, Order, Submission, restock},
};
use serde_json::Value;

use crate::alone;

const V1: &str = "order.v1.yaml";
const V2: &str = "order.v2.yaml";

async fn placed(system: &System, numbers: std::ops::Range<u64>) -> Vec<Order> {
    let kinds = [Kind::Good, Kind::Declined, Kind::Good, Kind::Insufficient];
    let kind = |number: u64| kinds[usize::try_from(number).expect("small") % kinds.len()];
    let orders = numbers.map(|number| Order::new(kind(number), number, 2)).collect();
    Submission::start(system, orders).all().await
}

/// Definition and names of the steps.
async fn course(system: &System, order: &Order) -> (String, Vec<String>) {
    let saga = system.saga(&order.id).await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let steps = saga["steps"].as_array().expect("steps").iter().map(|step| text(&step["name"])).collect();
    (text(&saga["definition"]), steps)
}

#[tokio::test]
async fn old_sagas_end_on_their_version_and_new_ones_start_on_the_newest() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    let mut system = System::start_on(&definitions, None).await;
    restock(&system).await;
    // Without payment nothing gets past the reservation.
    system.kill("payment");
    let old = placed(&system, 0..8).await;
    for order in &old {
        system.step_is(&order.id, "reserve-stock", "succeeded").await;
    }

    system.kill("orchestrator");
    let changes = [("version: 1\n", "version: 2\n"), ("name: send-confirmation", "name: tell-customer")];
    definitions.derive(V1, V2, &changes);
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    let new = placed(&system, 8..16).await;
    system.start_service("payment");
    system.ready("payment").await;

    let all: Vec<_> = old.iter().chain(&new).cloned().collect();
    settled(&system, &all).await;
    audit(&system, &all).await;
    for (orders, definition, last) in
        [(&old, "order.v1", "send-confirmation"), (&new, "order.v2", "tell-customer")]
    {
        for order in orders {
            let (found, steps) = course(&system, order).await;
            assert_eq!((found.as_str(), steps[3].as_str()), (definition, last), "{}", order.id);
        }
    }
}

#[tokio::test]
async fn a_live_definition_is_not_edited_in_place() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    let mut system = System::start_on(&definitions, None).await;
    restock(&system).await;
    let before = placed(&system, 0..2).await;
    settled(&system, &before).await;
    let original = definitions.read(V1);

    system.process("orchestrator").terminate(std::time::Duration::from_secs(60));
    definitions.derive(V1, V1, &[("deadline: 24h", "deadline: 23h")]);
    system.start_service("orchestrator");
    let process = system.process("orchestrator");
    let status =
        eventually("the orchestrator refuses", async || process.ended(), async || String::new()).await;
    assert_ne!(status.code(), Some(0), "{}", system.process("orchestrator").tail());
    let log = system.process("orchestrator").log();
    for part in ["order.v1", "-deadline: 24h", "+deadline: 23h", "order.v2.yaml"] {
        assert!(log.contains(part), "{part:?} is missing in\n{log}");
    }

    // The remedy: the old text back under its number.
    definitions.write(V1, &original);
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    let after = placed(&system, 2..4).await;
    let all: Vec<_> = before.into_iter().chain(after).collect();
    settled(&system, &all).await;
    audit(&system, &all).await;
}
