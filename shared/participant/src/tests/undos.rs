//! Rule 3: an undo names its action, and whoever comes first decides whether that ever runs.

use amends_contract::{EffectId, Outcome};
use serde_json::json;

use super::service::{TestDb, action, again, done, failed, rejected, states, succeeded, undo};

on_both_databases!(
    an_undo_before_its_action_closes_it,
    the_undo_of_a_rejected_action_has_nothing_to_undo,
    the_undo_of_an_action_that_failed_closes_it,
    an_action_is_undone_once,
    an_undo_that_fails_may_succeed_later,
    an_undo_may_be_rejected,
    undo_and_action_in_one_batch_keep_their_order,
    another_epoch_is_another_effect,
);

async fn an_undo_before_its_action_closes_it(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    let (_, first) = bench.ask_bytes(&undo(&command)).await;
    assert_eq!(bench.ask_bytes(&again(&undo(&command))).await.1, first);
    assert_eq!(bench.replies()[0].outcome, Outcome::NothingToUndo);
    // The late action, and every zombie of it: whatever it means, the first answer is the answer.
    let (_, cancelled) = bench.ask_bytes(&again(&command)).await;
    let mut other = command.clone();
    other.data = json!({ "another": "meaning" }).into();
    for zombie in [command, other] {
        assert_eq!(bench.ask_bytes(&zombie).await.1, cancelled);
    }
    let last = bench.replies().pop().unwrap();
    assert_eq!((last.outcome, last.send_no), (Outcome::Cancelled, 2));
    assert_eq!(done(bench.db()).await, [""; 0], "no domain code ran");
    let expected = ["step/do/1 tombstone", "step/undo/1 final nothing_to_undo"];
    assert_eq!(states(bench.db()).await, expected);
}

async fn the_undo_of_a_rejected_action_has_nothing_to_undo(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "do": "reject" }));
    bench.ask(&command).await;
    assert_eq!(bench.ask(&undo(&command)).await.outcome, Outcome::NothingToUndo);
    assert_eq!(bench.ask(&again(&command)).await.outcome, rejected("no", "because"), "its reply stays");
    assert_eq!(done(bench.db()).await, [""; 0]);
    let expected = ["step/do/1 final rejected", "step/undo/1 final nothing_to_undo"];
    assert_eq!(states(bench.db()).await, expected);
}

async fn the_undo_of_an_action_that_failed_closes_it(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "do": "fail" }));
    bench.ask(&command).await;
    assert_eq!(bench.ask(&undo(&command)).await.outcome, Outcome::NothingToUndo);
    let retried = action(1, json!({}));
    assert_eq!(bench.ask(&retried).await.outcome, Outcome::Cancelled);
    assert_eq!(done(bench.db()).await, [""; 0]);
}

async fn an_action_is_undone_once(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "n": 7 }));
    bench.ask(&command).await;
    let (_, first) = bench.ask_bytes(&undo(&command)).await;
    for repeated in [undo(&command), again(&undo(&command))] {
        assert_eq!(bench.ask_bytes(&repeated).await.1, first);
    }
    let undone = bench.replies().pop().unwrap().outcome;
    assert_eq!(
        undone,
        Outcome::Undone { output: json!({ "was": { "n": 7 } }).into() },
        "it knows what it undoes"
    );
    // The action's reply is what it was.
    assert_eq!(bench.ask(&again(&command)).await.outcome, succeeded(json!({ "n": 7 })));
    assert_eq!(done(bench.db()).await, ["did step/do/1", "undid step/undo/1"]);
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded", "step/undo/1 final undone"]);
}

async fn an_undo_that_fails_may_succeed_later(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "undo": "panic" }));
    bench.ask(&command).await;
    assert_eq!(bench.ask(&undo(&command)).await.outcome, failed("internal"));
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded"]);
    let mended = action(1, json!({}));
    assert!(matches!(bench.ask(&undo(&mended)).await.outcome, Outcome::Undone { .. }));
    assert_eq!(done(bench.db()).await, ["did step/do/1", "undid step/undo/1"]);
}

async fn an_undo_may_be_rejected(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({ "undo": "reject" }));
    bench.ask(&command).await;
    let (_, first) = bench.ask_bytes(&undo(&command)).await;
    assert_eq!(bench.ask_bytes(&again(&undo(&command))).await.1, first);
    assert_eq!(bench.ask(&undo(&command)).await.outcome, rejected("no", "because"));
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn undo_and_action_in_one_batch_keep_their_order(db: TestDb) {
    let bench = db.bench().await;
    let (forth, back) = (action(1, json!({})), action(2, json!({})));
    let commands = [&forth, &undo(&forth), &undo(&back), &back, &again(&forth)];
    bench.deliver(commands.map(|command| bench.delivery(command)).into()).await;
    bench.broker.until("five replies", |broker| (broker.published().len() == 5).then_some(())).await;
    assert!(matches!(bench.outcome_of(&undo(&forth).effect).await, Outcome::Undone { .. }));
    assert_eq!(bench.outcome_of(&undo(&back).effect).await, Outcome::NothingToUndo);
    assert_eq!(bench.outcome_of(&back.effect).await, Outcome::Cancelled);
    assert_eq!(done(bench.db()).await, ["did step/do/1", "undid step/undo/1"]);
}

async fn another_epoch_is_another_effect(db: TestDb) {
    let bench = db.bench().await;
    let command = action(1, json!({}));
    assert_eq!(bench.ask(&undo(&command)).await.outcome, Outcome::NothingToUndo);
    let mut second = command.clone();
    second.effect = EffectId { epoch: 2, ..command.effect.clone() };
    assert_eq!(bench.ask(&second).await.outcome, succeeded(json!({ "n": null })));
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Cancelled);
    assert_eq!(done(bench.db()).await, ["did step/do/2"]);
}
