//! Rule 6: a fence makes an effect id final, and tells how it ended.

use amends_contract::{Command, Outcome};
use serde_json::json;

use super::{
    service::{TestDb, action, again, call, config, done, fence, states, succeeded, undo},
    world::World,
};
use crate::testing::Bench;

on_both_databases!(
    a_fence_closes_an_action_that_never_came,
    a_fence_repeats_what_was_recorded,
    a_fence_waits_for_an_open_action,
    a_fence_of_an_undo_whose_action_never_came_closes_both,
    a_fence_of_an_undo_whose_action_did_nothing,
    a_fence_of_an_undo_whose_action_succeeded_closes_the_undo,
    a_fence_of_an_undo_whose_action_is_open_changes_nothing,
    a_fence_of_an_undo_goes_by_its_own_row_first,
    a_fence_needs_no_command_of_ours,
);

async fn ask(bench: &Bench, command: &Command) -> (Outcome, u32) {
    let reply = bench.ask(command).await;
    (reply.outcome, reply.send_no)
}

async fn a_fence_closes_an_action_that_never_came(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    assert_eq!(ask(&bench, &fence(&command)).await, (Outcome::Cancelled, 101));
    // From now on everybody gets this answer, whatever they mean.
    assert_eq!(ask(&bench, &command).await, (Outcome::Cancelled, 101));
    assert_eq!(ask(&bench, &again(&fence(&command))).await, (Outcome::Cancelled, 101));
    assert_eq!(ask(&bench, &undo(&command)).await, (Outcome::NothingToUndo, 1));
    assert_eq!(done(bench.db()).await, [""; 0]);
    let expected = ["step/do/1 tombstone cancelled", "step/undo/1 final nothing_to_undo"];
    assert_eq!(states(bench.db()).await, expected);
}

async fn a_fence_repeats_what_was_recorded(db: TestDb) {
    let bench = db.bench().await;
    for (number, wish) in [(1, "succeed"), (2, "reject")] {
        let command = action(number, json!({ "do": wish }));
        let (_, recorded) = bench.ask_bytes(&command).await;
        assert_eq!(bench.ask_bytes(&fence(&command)).await.1, recorded);
        assert_eq!(bench.ask_bytes(&again(&command)).await.1, recorded);
    }
    let undone = action(3, json!({}));
    bench.ask(&undone).await;
    let (_, recorded) = bench.ask_bytes(&undo(&undone)).await;
    assert_eq!(bench.ask_bytes(&fence(&undo(&undone))).await.1, recorded);
}

async fn a_fence_waits_for_an_open_action(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), crate::Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Pending);
    assert_eq!(ask(&bench, &fence(&command)).await, (Outcome::Pending, 101));
    assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
    assert_eq!(bench.ask(&undo(&command)).await.outcome, Outcome::Pending);
    assert_eq!(ask(&bench, &fence(&command)).await, (Outcome::Pending, 101), "voiding");
    world.open();
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(ask(&bench, &fence(&command)).await, (succeeded(json!({ "key": "step/do/1" })), 1));
}

async fn a_fence_of_an_undo_whose_action_never_came_closes_both(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::NothingToUndo, 101));
    assert_eq!(ask(&bench, &undo(&command)).await, (Outcome::NothingToUndo, 101));
    assert_eq!(ask(&bench, &command).await, (Outcome::Cancelled, 1));
    assert_eq!(done(bench.db()).await, [""; 0]);
}

async fn a_fence_of_an_undo_whose_action_did_nothing(db: TestDb) {
    let bench = db.bench().await;
    let (rejected, closed) = (action(1, json!({ "do": "reject" })), action(2, json!({})));
    bench.ask(&rejected).await;
    bench.ask(&fence(&closed)).await;
    for command in [rejected, closed] {
        assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::NothingToUndo, 101));
        assert_eq!(ask(&bench, &undo(&command)).await, (Outcome::NothingToUndo, 101));
    }
    assert_eq!(done(bench.db()).await, [""; 0]);
}

async fn a_fence_of_an_undo_whose_action_succeeded_closes_the_undo(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    bench.ask(&command).await;
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::Cancelled, 101));
    assert_eq!(ask(&bench, &undo(&command)).await, (Outcome::Cancelled, 101));
    // The action stays done, until another undo of it.
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
    let mut second = undo(&command);
    second.effect.epoch = 2;
    assert!(matches!(bench.ask(&second).await.outcome, Outcome::Undone { .. }));
    assert_eq!(done(bench.db()).await, ["did step/do/1", "undid step/undo/2"]);
}

async fn a_fence_of_an_undo_whose_action_is_open_changes_nothing(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), crate::Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    bench.ask(&command).await;
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::Pending, 101));
    assert_eq!(states(bench.db()).await, ["step/do/1 open"], "not even voiding");
    world.open();
    bench.outcome_of(&command.effect).await;
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::Cancelled, 101));
    assert_eq!(world.calls(), ["call step/do/1"], "nothing was undone");
}

async fn a_fence_of_an_undo_goes_by_its_own_row_first(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), crate::Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    bench.ask(&command).await;
    assert_eq!(bench.ask(&undo(&command)).await.outcome, Outcome::Pending);
    world.open();
    bench.outcome_of(&command.effect).await;
    // Its action has succeeded, but the undo itself is promised: it is not to be closed any more.
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (Outcome::Pending, 101));
    bench.recover().await;
    let undone = Outcome::Undone { output: json!({ "key": "step/undo/1" }).into() };
    assert_eq!(bench.outcome_of(&undo(&command).effect).await, undone);
    assert_eq!(ask(&bench, &fence(&undo(&command))).await, (undone, 1));
}

async fn a_fence_needs_no_command_of_ours(db: TestDb) {
    let bench = db.bench().await;
    let unknown = crate::testing::command(super::service::saga(1), "never-heard-of", "test.fence", json!({}));
    assert_eq!(bench.ask(&unknown).await.outcome, Outcome::Cancelled);
    assert_eq!(states(bench.db()).await, ["never-heard-of/do/1 tombstone cancelled"]);
}
