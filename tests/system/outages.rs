//! A participant is away for longer than anybody would wait for an answer, and what was sent to it is lost.
//! Its sagas stand still; when it is back they are let go, and all books agree.

use amends_tests::{
    Dice, System, Wire,
    audit::{audit, settled},
    eventually,
    traffic::{Submission, mixed, restock},
};
use serde_json::{Value, json};

use crate::alone;

const ORDERS: u64 = 120;

/// All sagas that have not ended.
async fn open(system: &System) -> Vec<Value> {
    let authorization = system.authorization();
    let url = system.admin("/v1/sagas?status=running&limit=200");
    let answer = system.client.get(&url, &[("authorization", &authorization)]).await;
    answer["sagas"].as_array().cloned().unwrap_or_default()
}

fn flags(saga: &Value) -> &Value {
    &saga["flags"]
}

/// What the journal of a saga says: `held` and `release`, in order.
async fn ups_and_downs(system: &System, id: &str) -> Vec<&'static str> {
    let authorization = system.authorization();
    let url = system.admin(&format!("/v1/sagas/{id}/journal?limit=200"));
    let journal = system.client.get(&url, &[("authorization", &authorization)]).await;
    let entries = journal["entries"].as_array().cloned().unwrap_or_default();
    let word = |entry: &Value| {
        let decisions = entry["decisions"].as_array().cloned().unwrap_or_default();
        match entry["input"]["kind"].as_str() {
            Some("release") => Some("let go"),
            _ if decisions.iter().any(|decision| decision["decision"] == "held") => Some("held"),
            _ => None,
        }
    };
    entries.iter().filter_map(word).collect()
}

#[tokio::test]
async fn what_waits_for_a_participant_is_let_go_when_it_is_back() {
    let _turn = alone().await;
    let mut system = System::start(None).await;
    restock(&system).await;
    system.kill("payment");
    let submission = Submission::start(&system, mixed(ORDERS, &mut Dice::new("outages")));
    let orders = submission.all().await;
    let held = eventually(
        "all that is open is held",
        async || {
            let open = open(&system).await;
            let held = |saga: &Value| *flags(saga) == json!(["held"]);
            (open.len() > 20 && open.iter().all(held)).then_some(open)
        },
        async || system.dump().await,
    )
    .await;
    // Nobody would find in the stream what to do.
    let mut wire = Wire::connect(&system.broker.url());
    let purged = wire.api("STREAM.PURGE.AMENDS_CMD", &json!({}));
    assert_eq!(purged["success"], true, "{purged}");

    system.start_service("payment");
    system.ready("payment").await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;
    let mut let_go = 0;
    for saga in &held {
        let id = saga["id"].as_str().expect("a saga has an id");
        match ups_and_downs(&system, id).await.as_slice() {
            ["held", "let go"] => let_go += 1,
            // What was in the service's hands when it died is answered without being asked for.
            ["held"] => {}
            other => panic!("saga {id}: one line for an outage, one for its end, not {other:?}"),
        }
    }
    assert!(let_go > held.len() / 2, "{let_go} of {} were let go", held.len());
}
