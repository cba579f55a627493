//! Three nats-servers with three copies of each stream: the server that leads the commands is killed while orders are
//! under way, then the one that leads the replies. Nothing is made anew, for nothing was lost.

use amends_tests::{
    Broker, Dice, System,
    audit::{audit, settled},
    eventually,
    traffic::{Submission, mixed, restock},
};
use serde_json::json;

use crate::alone;

const ORDERS: u64 = 60;
const STREAMS: [&str; 4] = ["AMENDS_CMD", "AMENDS_REPLY", "AMENDS_EVENT", "AMENDS_DEAD"];

/// Number of copies and moment of creation of each stream; `None` when nobody speaks for one of them. A question
/// that comes while its servers vote, or before they know of it, is not answered late but never: who asks must ask
/// again.
fn streams(broker: &Broker) -> Option<Vec<(u64, String)>> {
    let of = |name: &&str| {
        let info = broker.ask(&format!("STREAM.INFO.{name}"), &json!({}))?;
        let created = info["created"].as_str()?;
        Some((info["config"]["num_replicas"].as_u64()?, created.into()))
    };
    STREAMS.iter().map(of).collect()
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
        async || streams(&system.broker).filter(|all| all.iter().all(|(copies, _)| *copies == 3)),
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
    let after = eventually(
        "each stream has somebody who speaks for it",
        async || streams(&system.broker),
        async || system.dump().await,
    )
    .await;
    assert_eq!(before, after, "a stream whose leader was gone was made anew");
}
