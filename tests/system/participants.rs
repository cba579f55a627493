//! An operator pauses a participant: its sagas wait and say for whom, nothing burns, and the pause outlives the
//! broker's store and the orchestrator. Resumed, they all go on.

use amends_tests::{
    Definitions, System,
    audit::{audit, settled},
    books::balanced,
    eventually,
    traffic::{Kind, Order, Submission, restock},
};
use serde_json::Value;

use crate::{
    alone,
    operators::{operate, text},
};

const ORDERS: u64 = 40;
/// Of a step of an order.
const ATTEMPTS: u64 = 8;

async fn admin(system: &System, path: &str) -> Value {
    let authorization = system.authorization();
    system.client.get(&system.admin(path), &[("authorization", &authorization)]).await
}

async fn payment(system: &System) -> Value {
    let list = admin(system, "/v1/participants").await;
    let mut found = list["participants"].as_array().expect("a list").iter();
    found.find(|it| it["name"] == "payment").expect("it is called by a definition").clone()
}

fn done(system: &System, arguments: &[&str]) -> String {
    let output = operate(system, arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// Waits until each of the sagas says that it waits for payment.
async fn all_held(system: &System, orders: &[Order]) {
    let look = async || {
        for order in orders {
            let saga = system.saga(&order.id).await;
            let steps = saga["steps"].as_array().expect("a saga has steps");
            let charge = steps.iter().find(|step| step["name"] == "charge-payment").expect("an order pays");
            if charge["action"]["away"] != "payment" || charge["action"]["held_by"] != "participant" {
                return None;
            }
            assert_eq!(charge["action"]["attempts_left"], ATTEMPTS, "nothing burns: {saga:#}");
            assert_eq!(saga["flags"], serde_json::json!(["held"]));
        }
        Some(())
    };
    eventually("all wait for payment", look, async || system.dump().await).await;
}

async fn paused_at_the_broker(system: &System) {
    let look = async || {
        let payment = payment(system).await;
        (payment["consumer"]["paused_ms"].as_u64() > Some(0)).then_some(())
    };
    eventually("payment's consumer is paused", look, async || system.dump().await).await;
}

#[tokio::test]
async fn a_paused_participant_holds_its_sagas_whatever_is_lost_meanwhile() {
    let _turn = alone().await;
    let definitions = Definitions::of(&["order.v1"]);
    let hasty = [("version: 1", "version: 2"), ("resend_after: 10s", "resend_after: 1s")];
    definitions.derive("order.v1.yaml", "order.v2.yaml", &hasty);
    let mut system = System::start_on(&definitions, None).await;
    restock(&system).await;
    let said = done(&system, &["participant", "pause", "payment", "--reason", "the bank moves"]);
    assert!(said.contains("payment is paused by") && said.contains("the bank moves"), "{said}");
    let orders = (0..ORDERS).map(|number| Order::new(Kind::Good, number, 1)).collect();
    let orders = Submission::start(&system, orders).all().await;
    all_held(&system, &orders).await;
    let listed = done(&system, &["participant", "ls"]);
    assert!(listed.contains("the bank moves"), "{listed}");
    let shown = done(&system, &["saga", "show", &orders[0].id]);
    assert!(shown.contains("charge-payment: held by participant payment"), "{shown}");

    // The broker forgets consumer and pause, and whoever had said it is gone.
    system.kill("orchestrator");
    system.broker.kill_and_wipe();
    system.broker.start_again();
    system.start_service("orchestrator");
    system.ready("orchestrator").await;
    paused_at_the_broker(&system).await;
    let pause = payment(&system).await["pause"].clone();
    assert_eq!((&pause["reason"], &pause["until"]), (&Value::from("the bank moves"), &Value::Null));
    all_held(&system, &orders).await;

    let said = done(&system, &["participant", "resume", "payment", "--reason", "it has moved"]);
    assert!(said.contains("payment goes on"), "{said}");
    settled(&system, &orders).await;
    audit(&system, &orders).await;
    let report = balanced(&system).await;
    assert_eq!(report.counters.operator_actions, 2, "the auditor looks at both");
    let again = operate(&system, &["participant", "resume", "payment", "--reason", "or not"]);
    assert!(
        again.status.code() == Some(1) && text(&again).contains("payment is not paused"),
        "{}",
        text(&again)
    );
}

#[tokio::test]
async fn a_pause_with_an_end_ends_by_itself_and_one_by_hand_is_ended_by_resume() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    done(&system, &["participant", "pause", "payment", "--for", "5s", "--reason", "a breath"]);
    paused_at_the_broker(&system).await;
    let order = Order::new(Kind::Good, 1, 1);
    let orders = Submission::start(&system, vec![order]).all().await;
    settled(&system, &orders).await;
    let over = async || payment(&system).await["pause"].is_null().then_some(());
    eventually("nobody is said to have paused it", over, async || system.dump().await).await;

    let mut wire = amends_tests::Wire::connect(&system.broker.url());
    let until = serde_json::json!({ "pause_until": "2099-01-01T00:00:00Z" });
    assert_eq!(wire.api("CONSUMER.PAUSE.AMENDS_CMD.payment", &until)["paused"], true);
    let listed = done(&system, &["participant", "ls"]);
    assert!(listed.contains("at the broker by hand"), "{listed}");
    done(&system, &["participant", "resume", "payment", "--reason", "somebody forgot it"]);
    assert_eq!(payment(&system).await["consumer"]["paused_ms"], 0);
    audit(&system, &orders).await;
}
