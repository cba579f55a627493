//! A step with `concurrency`, through the running loops: never more of it are in flight, and all come through.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use amends_contract::{Direction, Outcome, SagaId};
use amends_engine::{Input, Place as Stand, ReplyInput, Saga};
use amends_store::Store;
use serde_json::json;

use super::versions::{Place, start};
use crate::core::compile_file;

const LIMITED: &str = "
saga: pick
version: 1
steps:
  - name: pick
    kind: compensatable
    call: robot.pick
    concurrency: 2
    with: { parcel: =input.parcel }
    undo: robot.put-back
";

async fn load(store: &Store, ids: &[SagaId]) -> Vec<Saga> {
    store.load(ids).await.unwrap().sagas
}

fn stand(saga: &Saga) -> Option<Stand> {
    saga.places().next().and_then(|(_, place)| place)
}

/// Waits until as many sagas as this have sent, and checks that no more have.
async fn until_sent(store: &Store, ids: &[SagaId], count: usize) -> Vec<Saga> {
    let look = async {
        loop {
            let sagas = load(store, ids).await;
            let sent: Vec<Saga> =
                sagas.into_iter().filter(|saga| stand(saga) == Some(Stand::Taken)).collect();
            assert!(sent.len() <= 2, "{} are in flight", sent.len());
            if sent.len() == count {
                return sent;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), look).await.expect("places are given")
}

#[tokio::test]
async fn never_more_than_the_limit_are_in_flight() {
    let place = Place::new();
    place.write("pick.v1.yaml", LIMITED);
    let definition = compile_file(Path::new("pick.v1.yaml"), LIMITED).unwrap().0;
    let store = place.store().await;
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(start(&store, &definition).await);
    }
    assert!(load(&store, &ids).await.iter().all(|saga| stand(saga) == Some(Stand::Wanted)));
    // Somebody gave a place and died before the saga heard of it.
    store.save_definition(&definition, &BTreeMap::new()).await.unwrap();
    let limit = amends_store::PlaceLimit {
        definition: "pick".parse().unwrap(),
        step: "pick".parse().unwrap(),
        by_version: [(1, 1)].into(),
    };
    assert_eq!(store.give_places(&limit, 10).await.unwrap().len(), 1);

    let world = place.world().await;
    let mut open = ids.clone();
    while !open.is_empty() {
        for saga in until_sent(&store, &open, open.len().min(2)).await {
            let command = &saga.steps[0];
            let effect = command.effect(Direction::Forward).unwrap();
            assert!(effect.send_no >= 1 && effect.data == Some(json!({ "parcel": "p-1" }).into()));
            let reply = ReplyInput {
                effect: format!("{}/pick/do/1", saga.id).parse().unwrap(),
                send_no: effect.send_no,
                participant: "robot".parse().unwrap(),
                outcome: Outcome::Succeeded { output: json!({}).into() },
                cause: None,
                violation: None,
            };
            world.commit(saga, Input::Reply(reply)).await;
        }
        let sagas = load(&store, &open).await;
        open = sagas.iter().filter(|saga| !saga.status().is_terminal()).map(|saga| saga.id).collect();
    }
    assert!(load(&store, &ids).await.iter().all(|saga| saga.status().as_str() == "completed"));
    assert!(!store.may_give_places(&limit).await.unwrap(), "nobody waits");
}
