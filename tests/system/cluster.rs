//! Three nats-servers with three copies of each stream: the server that leads the commands is killed while orders are
//! under way, then the one that leads the replies. Nothing is made anew, for nothing was lost.

use amends_tests::{
    Dice, System, Wire,
    audit::{audit, settled},
    eventually,
    traffic::{Submission, mixed, restock},
};
use serde_json::{Value, json};

use crate::alone;

const ORDERS: u64 = 60;
const STREAMS: [&str; 4] = ["AMENDS_CMD", "AMENDS_REPLY", "AMENDS_EVENT", "AMENDS_DEAD"];

/// Number of copies and moment of creation of each stream.
fn streams(wire: &mut Wire) -> Vec<(u64, Value)> {
    let mut info = |name: &&str| wire.api(&format!("STREAM.INFO.{name}"), &json!({}));
    let of =
        |info: Value| (info["config"]["num_replicas"].as_u64().unwrap_or_default(), info["created"].clone());
    STREAMS.iter().map(|name| of(info(name))).collect()
}

async fn leader(system: &System, stream: &str) -> usize {
    eventually(
        &format!("{stream} has a leader"),
        async || system.broker.leader(stream),
        async || system.dump().await,
    )
    .await
}

#[tokio::test]
async fn a_cluster_may_lose_each_leader() {
    let _turn = alone().await;
    let mut system = System::start_on_three().await;
    restock(&system).await;
    // In a cluster, a stream that is not there may only be without a leader: it is made when it stays away.
    let before = eventually(
        "there are three copies of each stream",
        async || {
            let streams = streams(&mut Wire::connect(&system.broker.url()));
            streams.iter().all(|(copies, created)| *copies == 3 && created.is_string()).then_some(streams)
        },
        async || system.dump().await,
    )
    .await;

    let submission = Submission::start(&system, mixed(ORDERS, &mut Dice::new("cluster")));
    for (stream, accepted) in [("AMENDS_CMD", 5), ("AMENDS_REPLY", 20)] {
        eventually(
            &format!("{accepted} orders are accepted"),
            async || (submission.accepted() >= accepted).then_some(()),
            async || system.dump().await,
        )
        .await;
        let leader = leader(&system, stream).await;
        system.broker.servers()[leader].process().kill();
        system.broker.servers()[leader].start_again();
    }
    let orders = submission.all().await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;
    let after = streams(&mut Wire::connect(&system.broker.url()));
    assert_eq!(before, after, "a stream whose leader was gone was made anew");
}
