//! Rule 5, the other half: no tombstone beats an open row. An undo waits until it is known what there is
//! to undo, and then answers by itself.

use amends_contract::Outcome;
use serde_json::json;

use super::{
    service::{TestDb, action, again, call, config, done, failed, fence, rejected, states, succeeded, undo},
    world::{World, declined, refused, unknown},
};
use crate::{Config, testing::Bench};

on_both_databases!(
    an_undo_of_an_open_action_undoes_it_once_it_has_happened,
    an_undo_of_an_open_action_that_is_declined_has_nothing_to_undo,
    an_undo_of_an_open_action_that_did_nothing_closes_it,
    an_undo_waits_through_unknown_outcomes,
    a_waiting_undo_is_asked_for_again,
    a_waiting_undo_that_cannot_be_done_yet_goes_on_waiting,
    a_waiting_undo_knows_its_meaning,
    two_undos_wait_for_one_action,
);

async fn waiting(db: &TestDb, world: &World) -> Bench {
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    assert_eq!(bench.ask(&call(1)).await.outcome, Outcome::Pending);
    assert_eq!(bench.ask(&undo(&call(1))).await.outcome, Outcome::Pending);
    assert_eq!(states(bench.db()).await, ["step/do/1 voiding", "step/undo/1 open"]);
    bench
}

/// Lets the world answer, and the loop do what follows from it.
async fn resolve(bench: &Bench, world: &World) {
    world.open();
    bench.until_idle().await;
    bench.recover().await;
}

async fn an_undo_of_an_open_action_undoes_it_once_it_has_happened(db: TestDb) {
    let world = World::new().closed();
    let bench = waiting(&db, &world).await;
    resolve(&bench, &world).await;
    assert_eq!(bench.outcome_of(&call(1).effect).await, succeeded(json!({ "key": "step/do/1" })));
    let undone = bench.outcome_of(&undo(&call(1)).effect).await;
    assert_eq!(undone, Outcome::Undone { output: json!({ "key": "step/undo/1" }).into() });
    assert_eq!(world.calls(), ["call step/do/1", "call step/undo/1"]);
    let expected = ["step/do/1 final succeeded", "step/undo/1 final undone"];
    assert_eq!(states(bench.db()).await, expected);
}

async fn an_undo_of_an_open_action_that_is_declined_has_nothing_to_undo(db: TestDb) {
    let world = World::new().closed().answers([declined()]);
    let bench = waiting(&db, &world).await;
    resolve(&bench, &world).await;
    assert_eq!(bench.outcome_of(&call(1).effect).await, rejected("declined", "no money"));
    assert_eq!(bench.outcome_of(&undo(&call(1)).effect).await, Outcome::NothingToUndo);
    assert_eq!(world.calls(), ["call step/do/1"]);
}

async fn an_undo_of_an_open_action_that_did_nothing_closes_it(db: TestDb) {
    let world = World::new().closed().answers([refused()]);
    let bench = waiting(&db, &world).await;
    resolve(&bench, &world).await;
    assert_eq!(bench.outcome_of(&undo(&call(1)).effect).await, Outcome::NothingToUndo);
    let (_, first) = bench.ask_bytes(&again(&call(1))).await;
    assert_eq!(bench.ask_bytes(&fence(&call(1))).await.1, first);
    assert_eq!(bench.ask(&call(1)).await.outcome, Outcome::Cancelled);
    let expected = ["step/do/1 tombstone cancelled", "step/undo/1 final nothing_to_undo"];
    assert_eq!(states(bench.db()).await, expected);
    assert!(done(bench.db()).await.contains(&"recorded failed step/do/1".to_owned()), "the service is told");
}

async fn an_undo_waits_through_unknown_outcomes(db: TestDb) {
    let world = World::new().closed().answers([unknown(), unknown(), unknown()]);
    let bench = waiting(&db, &world).await;
    resolve(&bench, &world).await;
    for _ in 0..2 {
        bench.until_idle().await;
        assert_eq!(bench.ask(&again(&undo(&call(1)))).await.outcome, Outcome::Pending);
        bench.recover().await;
    }
    while !matches!(states(bench.db()).await[1].as_str(), "step/undo/1 final undone") {
        bench.until_idle().await;
        bench.recover().await;
    }
    assert_eq!(
        world.calls().iter().filter(|call| call.ends_with("do/1") && call.starts_with("call")).count(),
        2
    );
    assert_eq!(world.calls().last().unwrap(), "call step/undo/1");
}

async fn a_waiting_undo_is_asked_for_again(db: TestDb) {
    let world = World::new().closed();
    let bench = waiting(&db, &world).await;
    world.open();
    bench.outcome_of(&call(1).effect).await;
    bench.until_idle().await;
    // Whoever asks first gets it going; the loop need not.
    let undone = bench.settle(&again(&undo(&call(1)))).await;
    assert_eq!(undone, Outcome::Undone { output: json!({ "key": "step/undo/1" }).into() });
    bench.recover().await;
    bench.until_idle().await;
    assert_eq!(world.calls(), ["call step/do/1", "call step/undo/1"]);
}

/// An action by a call, undone in the service's own database.
fn local_undo() -> amends_contract::Command {
    crate::testing::undo_of(&call(1), "undo")
}

async fn a_waiting_undo_that_cannot_be_done_yet_goes_on_waiting(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    bench.ask(&call(1)).await;
    assert_eq!(bench.ask(&local_undo()).await.outcome, Outcome::Pending);
    super::service::meddle(bench.db(), "ALTER TABLE done RENAME TO gone").await;
    super::service::meddle(
        bench.db(),
        "CREATE TABLE done (what TEXT NOT NULL CHECK (what NOT LIKE 'undid%'))",
    )
    .await;
    resolve(&bench, &world).await;
    let before = bench.replies().len();
    bench.recover().await;
    assert_eq!(bench.replies().len(), before, "nobody asked");
    assert_eq!(bench.ask(&again(&local_undo())).await.outcome, failed("database"), "who asks is told");
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded", "step/undo/1 open"]);
    super::service::meddle(bench.db(), "DROP TABLE done").await;
    super::service::meddle(bench.db(), "ALTER TABLE gone RENAME TO done").await;
    bench.recover().await;
    let undone = bench.outcome_of(&local_undo().effect).await;
    assert_eq!(undone, Outcome::Undone { output: json!({ "was": { "key": "step/do/1" } }).into() });
    assert!(done(bench.db()).await.contains(&"undid step/undo/1".to_owned()));
}

async fn a_waiting_undo_knows_its_meaning(db: TestDb) {
    let world = World::new().closed();
    let bench = waiting(&db, &world).await;
    let mut other = undo(&call(1));
    other.data = json!({ "another": "meaning" }).into();
    assert_eq!(bench.ask(&other).await.outcome, Outcome::Conflict);
}

async fn two_undos_wait_for_one_action(db: TestDb) {
    let world = World::new().closed();
    let bench = waiting(&db, &world).await;
    let mut second = local_undo();
    second.effect.epoch = 2;
    assert_eq!(bench.ask(&second).await.outcome, Outcome::Pending);
    // A step's neighbours have nothing to do with it.
    let other = action(1, json!({ "n": 1 }));
    let other = crate::testing::command(other.effect.saga, "step-two", "test.do", json!({}));
    bench.ask(&other).await;
    resolve(&bench, &world).await;
    bench.recover().await;
    assert!(matches!(bench.outcome_of(&undo(&call(1)).effect).await, Outcome::Undone { .. }));
    assert!(matches!(bench.outcome_of(&second.effect).await, Outcome::Undone { .. }));
}
