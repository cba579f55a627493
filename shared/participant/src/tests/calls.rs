//! Rule 5: what is outside the database is called under the effect id, and only what is known is said.

use amends_contract::Outcome;
use serde_json::json;

use super::{
    service::{TestDb, again, call, config, done, failed, rejected, rows, states, succeeded, undo},
    world::{World, declined, refused, unknown},
};
use crate::{
    Config, Intent,
    calls::{Call, Calls},
};

on_both_databases!(
    a_quick_call_is_answered_once,
    a_slow_call_is_pending_and_then_answers_by_itself,
    a_decline_is_final,
    no_call_is_made_where_none_is_needed,
    an_unknown_outcome_is_pending_until_it_is_known,
    a_call_that_did_nothing_is_a_failure_and_forgotten,
    a_call_that_did_nothing_is_no_failure_once_one_may_have_happened,
    an_action_is_undone_by_a_call,
    without_room_calls_wait_in_the_inbox_and_are_first_calls_then,
    calls_run_beside_each_other_up_to_a_bound,
    a_call_that_never_ends_is_unknown,
    the_output_of_a_call_that_cannot_be_sent_is_left_out,
    a_call_waits_for_the_one_before_it_to_be_let_go,
);

async fn a_quick_call_is_answered_once(db: TestDb) {
    let world = World::new();
    let bench = db.bench_with(world.clone(), config()).await;
    let command = call(1);
    let (_, first) = bench.ask_bytes(&command).await;
    assert_eq!(bench.replies()[0].outcome, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(bench.ask_bytes(&again(&command)).await.1, first);
    assert_eq!(bench.replies().len(), 2, "no pending before the first answer");
    assert_eq!(world.calls(), ["call step/do/1"]);
    assert_eq!(done(bench.db()).await, ["prepared step/do/1", "recorded succeeded step/do/1"]);
    let row = rows(bench.db()).await.remove(0);
    assert_eq!((row.command, row.due_at_ms), (None, None), "nothing is left to be found out");
}

async fn a_slow_call_is_pending_and_then_answers_by_itself(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Pending);
    assert_eq!(bench.ask(&again(&command)).await.outcome, Outcome::Pending);
    assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
    assert_eq!(done(bench.db()).await, ["prepared step/do/1"]);
    let mut other = command.clone();
    other.data = json!({ "another": "meaning" }).into();
    assert_eq!(bench.ask(&other).await.outcome, Outcome::Conflict);
    world.open();
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(world.calls(), ["call step/do/1"]);
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded"]);
}

async fn a_decline_is_final(db: TestDb) {
    let world = World::new().answers([declined()]);
    let bench = db.bench_with(world.clone(), config()).await;
    let (_, first) = bench.ask_bytes(&call(1)).await;
    assert_eq!(bench.ask_bytes(&call(1)).await.1, first);
    assert_eq!(bench.ask(&call(1)).await.outcome, rejected("declined", "no money"));
    assert_eq!(done(bench.db()).await, ["prepared step/do/1", "recorded rejected step/do/1"]);
    assert_eq!(bench.ask(&undo(&call(1))).await.outcome, Outcome::NothingToUndo);
    assert_eq!(world.calls(), ["call step/do/1"]);
}

async fn no_call_is_made_where_none_is_needed(db: TestDb) {
    let world = World::new();
    let bench = db.bench_with(world.clone(), config()).await;
    let with = |number, prepare: &str| {
        let mut command = call(number);
        command.data = json!({ "prepare": prepare }).into();
        command
    };
    assert_eq!(bench.ask(&with(1, "reject")).await.outcome, rejected("no", "because"));
    assert_eq!(bench.ask(&with(2, "final")).await.outcome, succeeded(json!("at once")));
    assert_eq!(bench.ask(&with(3, "error")).await.outcome, failed("internal"));
    assert_eq!(world.calls(), [""; 0]);
    assert_eq!(done(bench.db()).await, ["prepared step/do/1"], "of the one that succeeded");
    assert_eq!(states(bench.db()).await, ["step/do/1 final rejected", "step/do/1 final succeeded"]);
}

async fn an_unknown_outcome_is_pending_until_it_is_known(db: TestDb) {
    let world = World::new().answers([unknown(), unknown(), refused()]);
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Pending);
    for calls in 1..=3 {
        bench.until_idle().await;
        assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
        assert_eq!(
            bench.ask(&again(&command)).await.outcome,
            Outcome::Pending,
            "never failed: it may have happened"
        );
        assert_eq!(world.calls().len(), calls);
        assert_eq!(bench.recover().await, 1);
    }
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "key": "step/do/1" })));
    let repeated = ["call step/do/1", "recover step/do/1", "recover step/do/1", "recover step/do/1"];
    assert_eq!(world.calls(), repeated);
}

async fn a_call_that_did_nothing_is_a_failure_and_forgotten(db: TestDb) {
    let world = World::new().answers([refused()]);
    let bench = db.bench_with(world.clone(), config()).await;
    let command = call(1);
    assert_eq!(bench.ask(&command).await.outcome, failed("unreachable"));
    assert_eq!(rows(bench.db()).await, []);
    assert_eq!(done(bench.db()).await, ["prepared step/do/1", "recorded failed step/do/1"]);
    assert_eq!(bench.ask(&again(&command)).await.outcome, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(world.calls(), ["call step/do/1", "call step/do/1"]);
}

async fn a_call_that_did_nothing_is_no_failure_once_one_may_have_happened(db: TestDb) {
    let world = World::new().answers([unknown(), refused()]);
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    let command = call(1);
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Pending);
    bench.until_idle().await;
    bench.recover().await;
    bench.until_idle().await;
    assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
    bench.recover().await;
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "key": "step/do/1" })));
    let outcomes: Vec<_> = bench.replies().iter().map(|reply| reply.outcome.name()).collect();
    assert_eq!(outcomes, ["pending", "succeeded"]);
}

async fn an_action_is_undone_by_a_call(db: TestDb) {
    let world = World::new();
    let bench = db.bench_with(world.clone(), config()).await;
    let command = call(1);
    bench.ask(&command).await;
    let (_, first) = bench.ask_bytes(&undo(&command)).await;
    assert_eq!(bench.ask_bytes(&again(&undo(&command))).await.1, first);
    assert_eq!(
        bench.ask(&undo(&command)).await.outcome,
        Outcome::Undone { output: json!({ "key": "step/undo/1" }).into() }
    );
    assert_eq!(world.calls(), ["call step/do/1", "call step/undo/1"]);
}

async fn without_room_calls_wait_in_the_inbox_and_are_first_calls_then(db: TestDb) {
    let world = World::new().closed();
    let config = Config { calls_held_max: 1, calls_running_max: 1, pending_after_ms: 60_000, ..config() };
    let bench = db.bench_with(world.clone(), config).await;
    let commands = [call(1), call(2), call(3)];
    bench.deliver(commands.iter().map(|command| bench.delivery(command)).collect()).await;
    // Who finds no room is told so at once.
    bench.broker.until("two pending", |broker| (broker.published().len() == 2).then_some(())).await;
    assert!(bench.replies().iter().all(|reply| reply.outcome == Outcome::Pending));
    world.until_called(1).await;
    assert_eq!(bench.recover().await, 0, "there is no room yet");
    world.open();
    let outcome = bench.outcome_of(&commands[0].effect).await;
    assert_eq!(outcome, succeeded(json!({ "key": "step/do/1" })));
    for command in &commands[1..] {
        bench.until_idle().await;
        assert_eq!(bench.recover().await, 1);
        bench.until_idle().await;
        let _ = command;
    }
    for command in &commands {
        bench.outcome_of(&command.effect).await;
    }
    assert_eq!(world.calls(), ["call step/do/1"; 3], "none of them had been called before");
}

async fn calls_run_beside_each_other_up_to_a_bound(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { calls_running_max: 2, ..config() }).await;
    let commands = [call(1), call(2), call(3)];
    bench.deliver(commands.iter().map(|command| bench.delivery(command)).collect()).await;
    world.until_called(2).await;
    assert_eq!(world.calls().len(), 2);
    world.open();
    for command in &commands {
        bench.outcome_of(&command.effect).await;
    }
    assert_eq!(world.calls().len(), 3);
}

async fn a_call_that_never_ends_is_unknown(db: TestDb) {
    let world = World::new().closed();
    let config = Config { call_timeout_ms: 1, pending_after_ms: 1, ..config() };
    let bench = db.bench_with(world.clone(), config).await;
    assert_eq!(bench.ask(&call(1)).await.outcome, Outcome::Pending);
    bench.until_idle().await;
    assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
    world.open();
    while bench.replies().len() < 2 {
        bench.recover().await;
        bench.until_idle().await;
    }
    assert_eq!(bench.outcome_of(&call(1).effect).await, succeeded(json!({ "key": "step/do/1" })));
}

async fn the_output_of_a_call_that_cannot_be_sent_is_left_out(db: TestDb) {
    let large = crate::CallOutcome::Definite(succeeded(json!("x".repeat(600 * 1024))));
    let world = World::new().answers([large]);
    let bench = db.bench_with(world, config()).await;
    let outcome = bench.ask(&call(1)).await.outcome;
    assert_eq!(outcome, succeeded(json!({ "left_out": "reply-too-large" })), "it has happened all the same");
}

/// Between the commit of a call's end and its letting go, its row may be due again and taken up.
async fn a_call_waits_for_the_one_before_it_to_be_let_go(db: TestDb) {
    let world = World::new().answers([unknown()]);
    let bench = db.bench_with(world.clone(), config()).await;
    let runner = &bench.inside.runner;
    let (ends, mut ended) = tokio::sync::mpsc::unbounded_channel();
    // The test itself is who settles.
    let calls =
        Calls::new(bench.core.clone(), runner.post.clone(), ends, tokio_util::sync::CancellationToken::new());
    let command = call(1);
    let made = |first| Call {
        intent: Intent {
            effect: command.effect.clone(),
            command: command.clone(),
            data: json!({ "kept": command.effect.to_string() }),
            undone: None,
            calls: if first { 1 } else { 2 },
        },
        cause: None,
        external: std::sync::Arc::new(world.caller(false)),
        first,
        _room: bench.core.room().unwrap(),
    };
    calls.start(made(true));
    drop(ended.recv().await.unwrap());
    calls.start(made(false));
    assert_eq!((calls.held().len(), world.calls().len()), (1, 1), "one at a time");
    calls.let_go(&command.effect.to_string());
    drop(ended.recv().await.unwrap());
    calls.let_go(&command.effect.to_string());
    calls.until_idle().await;
    assert_eq!(world.calls(), ["call step/do/1", "recover step/do/1"]);
}
