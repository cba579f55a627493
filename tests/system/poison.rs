//! Garbage in the streams becomes dead letters with reasons, and its neighbours go on.

use std::collections::BTreeMap;

use amends_tests::{
    System, Wire,
    audit::{audit, settled},
    eventually,
    poison::{PLACES, corpus},
    traffic::{Kind, Order, Submission, restock},
};
use serde_json::Value;

use crate::alone;

#[tokio::test]
async fn poison_is_set_aside_and_its_neighbours_are_unharmed() {
    let _turn = alone().await;
    let system = System::start(None).await;
    restock(&system).await;
    let mut wire = Wire::connect(&system.broker.url());
    let mut wanted = BTreeMap::new();
    let submission = Submission::start(&system, (0..40).map(|n| Order::new(Kind::Good, n, 1)).collect());
    for (subject, message_type) in PLACES {
        for (body, reason) in corpus(message_type) {
            let seq = wire.publish(subject, &body);
            wanted.insert((subject.to_owned(), seq), reason);
        }
    }
    let orders = submission.all().await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;

    let found = eventually(
        "each poisoned message is a dead letter",
        async || {
            let found = dead_letters(&mut Wire::connect(&system.broker.url()));
            (found.len() >= wanted.len()).then_some(found)
        },
        async || system.dump().await,
    )
    .await;
    let wanted: BTreeMap<_, _> =
        wanted.into_iter().map(|(place, reason)| (place, reason.to_owned())).collect();
    assert_eq!(found, wanted);
}

/// Place of the original and reason of each dead letter.
fn dead_letters(wire: &mut Wire) -> BTreeMap<(String, u64), String> {
    let read = |(subject, body): (String, Vec<u8>)| {
        assert!(subject.starts_with("amends.dead."), "{subject}");
        let envelope: Value = serde_json::from_slice(&body).expect("a dead letter is JSON");
        let letter = &envelope["data"];
        let place = (letter["subject"].as_str()?.to_owned(), letter["stream_seq"].as_u64()?);
        Some((place, letter["reason"]["code"].as_str()?.to_owned()))
    };
    wire.messages("AMENDS_DEAD").into_iter().filter_map(read).collect()
}
