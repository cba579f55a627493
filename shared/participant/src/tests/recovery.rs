//! Rules 5 and 9: what a dead process left behind is found out, whether or not anyone asks again.

use std::sync::{Arc, Mutex};

use amends_contract::{Command, Outcome};
use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    service::{TestDb, call, config, now, saga, service, states, succeeded, undo},
    world::{World, unknown},
};
use crate::{
    CallOutcome, Config, External, HandlerError, Intent, Participant, Prepared, Work, testing::Bench,
};

on_both_databases!(
    a_call_that_was_running_is_repeated_under_its_key,
    an_undo_that_waited_is_done,
    a_call_that_was_not_begun_is_a_first_call,
    the_first_outcome_wins,
    mail_in_doubt_is_not_sent_again,
    the_loop_needs_nobody_to_ask,
);

/// Kills the process, as far as a test can: nothing of it goes on, and its leases run out.
async fn die(bench: Bench, db: &TestDb) {
    let database = bench.stop().await;
    super::service::meddle(&database, "UPDATE inbox SET due_at_ms = 0 WHERE due_at_ms IS NOT NULL").await;
    database.close().await;
    let _ = db;
}

async fn a_call_that_was_running_is_repeated_under_its_key(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    assert_eq!(bench.ask(&call(1)).await.outcome, Outcome::Pending);
    die(bench, &db).await;
    world.open();
    let bench = db.bench_with(world.clone(), config()).await;
    assert_eq!(bench.recover().await, 1);
    assert_eq!(bench.outcome_of(&call(1).effect).await, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(world.calls(), ["call step/do/1", "recover step/do/1"]);
}

async fn an_undo_that_waited_is_done(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    bench.ask(&call(1)).await;
    assert_eq!(bench.ask(&undo(&call(1))).await.outcome, Outcome::Pending);
    die(bench, &db).await;
    world.open();
    let bench = db.bench_with(world.clone(), config()).await;
    while states(bench.db()).await[1] != "step/undo/1 final undone" {
        bench.recover().await;
        bench.until_idle().await;
    }
    assert_eq!(
        bench.outcome_of(&undo(&call(1)).effect).await,
        Outcome::Undone { output: json!({ "key": "step/undo/1" }).into() }
    );
    assert_eq!(world.calls(), ["call step/do/1", "recover step/do/1", "call step/undo/1"]);
}

async fn a_call_that_was_not_begun_is_a_first_call(db: TestDb) {
    let world = World::new().closed();
    let config = Config { calls_running_max: 1, ..config() };
    let bench = db.bench_with(world.clone(), config.clone()).await;
    bench.deliver(vec![bench.delivery(&call(1)), bench.delivery(&call(2))]).await;
    world.until_called(1).await;
    die(bench, &db).await;
    world.open();
    let bench = db.bench_with(world.clone(), config).await;
    bench.recover().await;
    for number in [1, 2] {
        bench.outcome_of(&call(number).effect).await;
    }
    // Which of the two had its turn is a matter of luck; the other was never called.
    let mut calls = world.calls();
    calls.sort();
    assert_eq!(calls, ["call step/do/1", "call step/do/1", "recover step/do/1"]);
}

async fn the_first_outcome_wins(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    assert_eq!(bench.ask(&call(1)).await.outcome, Outcome::Pending);
    // Somebody else settles it while our call is on its way.
    let reply = crate::reply::encode_plain(&bench.core.name, &call(1), None, &succeeded(json!("first")));
    let tx = bench.db().begin().await.unwrap();
    let mut row = crate::inbox::row(&call(1).effect, crate::entity::inbox::State::Final, now());
    (row.outcome, row.reply) = (Some("succeeded".to_owned()), Some(reply));
    assert_eq!(crate::inbox::settle(&tx, vec![row]).await.unwrap(), crate::inbox::Written::All);
    tx.commit().await.unwrap();
    world.open();
    bench.until_idle().await;
    assert_eq!(bench.ask(&call(1)).await.outcome, succeeded(json!("first")));
    assert!(bench.replies().iter().all(|reply| reply.outcome != succeeded(json!({ "key": "step/do/1" }))));
}

/// Sends mail: what may have gone out is not sent again.
#[derive(Clone, Default)]
struct Mail {
    sent: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl External for Mail {
    async fn prepare(&self, _work: &mut Work<'_>, _command: &Command) -> Result<Prepared, HandlerError> {
        Ok(Prepared::Call(Value::Null))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        self.sent.lock().unwrap().push(intent.effect.to_string());
        unknown()
    }

    async fn recover(&self, _intent: &Intent) -> CallOutcome {
        CallOutcome::Definite(succeeded(json!({ "delivery": "uncertain" })))
    }

    async fn record(&self, _: &mut Work<'_>, _: &Intent, _: &Outcome) -> Result<(), HandlerError> {
        Ok(())
    }
}

async fn mail_in_doubt_is_not_sent_again(db: TestDb) {
    let mail = Mail::default();
    let participant = || Participant::new("test").on_external("mail", mail.clone());
    let command = crate::testing::command(saga(1), "step", "test.mail", json!({}));
    let config = Config { pending_after_ms: 1, ..config() };
    let bench = Bench::start(participant(), &db.url, config.clone()).await.unwrap();
    assert_eq!(bench.ask(&command).await.outcome, Outcome::Pending);
    die(bench, &db).await;
    let bench = Bench::start(participant(), &db.url, config).await.unwrap();
    bench.recover().await;
    assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "delivery": "uncertain" })));
    assert_eq!(mail.sent.lock().unwrap().len(), 1);
}

async fn the_loop_needs_nobody_to_ask(db: TestDb) {
    let world = World::new().answers([unknown(), unknown()]);
    let quick = Config { recover_interval_ms: 1, pending_after_ms: 1, ..config() };
    let bench = Bench::start(service(world.clone()), &db.url, quick).await.unwrap();
    let recovering = tokio::spawn(crate::recover::run(bench.inside.runner.clone()));
    assert_eq!(bench.settle(&call(1)).await, succeeded(json!({ "key": "step/do/1" })));
    assert_eq!(world.calls(), ["call step/do/1", "recover step/do/1", "recover step/do/1"]);
    bench.stop().await;
    recovering.await.unwrap();
}
