//! Several processes of one participant on one PostgreSQL; one process on one SQLite file.

use amends_contract::Outcome;
use serde_json::json;

use super::{
    service::{TestDb, action, again, call, config, done, service, succeeded, undo},
    world::World,
};
use crate::{Config, Database, Error, Pools, testing::Bench};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_that_get_the_same_commands_do_each_once() {
    let db = TestDb::postgres();
    let (one, two) = (db.bench().await, db.bench().await);
    let commands: Vec<_> = (1..=200).map(|number| action(number, json!({ "n": number }))).collect();
    // In opposite orders, so that they meet in the middle.
    let forth = commands.chunks(20).map(|chunk| chunk.iter().map(|command| one.delivery(command)).collect());
    let back = commands
        .chunks(20)
        .rev()
        .map(|chunk| chunk.iter().rev().map(|command| two.delivery(&again(command))).collect());
    let (forth, back): (Vec<Vec<_>>, Vec<Vec<_>>) = (forth.collect(), back.collect());
    let run = async |bench: &Bench, batches: Vec<Vec<_>>| {
        for batch in batches {
            bench.deliver(batch).await;
        }
    };
    tokio::join!(run(&one, forth), run(&two, back));
    for bench in [&one, &two] {
        bench.broker.until("all replies", |broker| (broker.published().len() == 200).then_some(())).await;
    }
    assert_eq!(done(one.db()).await.len(), 200, "each exactly once");
    let bodies = |bench: &Bench| {
        let mut bodies: Vec<_> = bench.published().into_iter().map(|message| message.body).collect();
        bodies.sort();
        bodies
    };
    assert_eq!(bodies(&one), bodies(&two), "both gave the same answers, byte for byte");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_inserted_in_effect_id_order_whatever_the_order_of_the_batch() {
    use crate::{
        entity::inbox::State,
        inbox::{Written, insert, row},
    };
    let db = TestDb::postgres();
    let bench = db.bench().await;
    let row = |number| row(&action(number, json!({})).effect, State::Final, super::service::now());
    let one = bench.db().begin().await.unwrap();
    assert_eq!(insert(&one, vec![row(1)]).await, Ok(Written::All));
    let two = bench.db().begin().await.unwrap();
    let waiting = tokio::spawn(async move {
        let written = insert(&two, vec![row(2), row(1)]).await;
        two.rollback().await.map(|()| written)
    });
    until_somebody_waits(bench.db()).await;
    // The other waits for the first row, and has not touched the second: else we wait in a circle.
    assert_eq!(insert(&one, vec![row(2)]).await, Ok(Written::All));
    one.commit().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap(), Ok(Written::Raced), "both rows were taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_fails_because_another_process_was_faster_has_not_failed() {
    use crate::{entity::inbox::State, inbox};
    use sea_orm::ConnectionTrait;
    let db = TestDb::postgres();
    let bench = db.bench().await;
    let command = action(1, json!({ "do": "unique" }));
    // The other process, just before its commit.
    let other = bench.db().begin().await.unwrap();
    other.execute_unprepared("INSERT INTO parent (id) VALUES (1)").await.unwrap();
    let reply = crate::reply::encode_plain(&bench.core.name, &command, None, &succeeded(json!("first")));
    let mut row = inbox::row(&command.effect, State::Final, super::service::now());
    (row.meaning, row.reply) = (Some(command.meaning().to_string()), Some(reply));
    inbox::insert(&other, vec![row]).await.unwrap();
    let committed = async {
        until_somebody_waits(bench.db()).await;
        other.commit().await.unwrap();
    };
    let (reply, ()) = tokio::join!(bench.ask(&command), committed);
    assert_eq!(reply.outcome, succeeded(json!("first")));
}

async fn until_somebody_waits(db: &Database) {
    let waits = "SELECT count(*) FROM pg_stat_activity \
                 WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while count(db, waits).await == 0 {
        tokio::task::yield_now().await;
    }
}

async fn count(db: &Database, sql: &str) -> i64 {
    use sea_orm::{ConnectionTrait, DbBackend, Statement};
    let row = db.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await.unwrap();
    row.unwrap().try_get_by_index(0).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn actions_and_undos_at_two_processes_end_in_one_of_two_ways() {
    let db = TestDb::postgres();
    let (one, two) = (db.bench().await, db.bench().await);
    let commands: Vec<_> = (1..=100).map(|number| action(number, json!({}))).collect();
    let actions = commands.iter().map(|command| one.delivery(command)).collect();
    let undos = commands.iter().map(|command| two.delivery(&undo(command))).collect();
    tokio::join!(one.deliver(actions), two.deliver(undos));
    let mut undone = 0;
    for command in &commands {
        match (one.outcome_of(&command.effect).await, two.outcome_of(&undo(command).effect).await) {
            (Outcome::Succeeded { .. }, Outcome::Undone { .. }) => undone += 1,
            (Outcome::Cancelled, Outcome::NothingToUndo) => {}
            other => panic!("{}: {other:?}", command.effect),
        }
    }
    assert_eq!(done(one.db()).await.len(), 2 * undone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_undos_at_two_processes_end_with_nothing_left_over() {
    let db = TestDb::postgres();
    let world = World::new().answers((0..200).map(|number| match number % 4 {
        0 => super::world::unknown(),
        1 => super::world::refused(),
        2 => super::world::declined(),
        _ => crate::CallOutcome::Definite(succeeded(json!("done"))),
    }));
    let quick = Config { pending_after_ms: 1, lease_ms: 50, recover_interval_ms: 1, ..config() };
    let (one, two) = (db.bench_with(world.clone(), quick.clone()).await, db.bench_with(world, quick).await);
    let loops = [&one, &two].map(|bench| tokio::spawn(crate::recover::run(bench.inside.runner.clone())));
    let commands: Vec<_> = (1..=100).map(call).collect();
    // The undo is one of our own database: the world's script is for the actions.
    let undos: Vec<_> = commands.iter().map(|command| crate::testing::undo_of(command, "undo")).collect();
    let forth = commands.iter().map(|command| one.delivery(command)).collect();
    let back = undos.iter().map(|undo| two.delivery(undo)).collect();
    tokio::join!(one.deliver(forth), two.deliver(back));
    let mut undone = 0;
    for (command, undo) in commands.iter().zip(&undos) {
        let outcome = either(&one, &two, undo).await;
        let action = either(&one, &two, &again(command)).await;
        match (&action, &outcome) {
            (Outcome::Succeeded { .. }, Outcome::Undone { .. }) => undone += 1,
            (Outcome::Cancelled | Outcome::Rejected { .. }, Outcome::NothingToUndo) => {}
            other => panic!("{}: {other:?}", command.effect),
        }
    }
    let all = done(one.db()).await;
    let count = |what: &str| all.iter().filter(|done| done.starts_with(what)).count();
    assert_eq!((count("recorded succeeded"), count("undid")), (undone, undone));
    one.shut_down();
    two.shut_down();
    for one in loops {
        one.await.unwrap();
    }
}

/// The final outcome, whichever process says it; asked for again while it is pending.
async fn either(one: &Bench, two: &Bench, command: &amends_contract::Command) -> Outcome {
    loop {
        for bench in [one, two] {
            let outcome = bench.ask(&again(command)).await.outcome;
            if outcome.is_final() {
                return outcome;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_in_hand_is_left_alone_until_its_lease_ends() {
    let db = TestDb::postgres();
    let world = World::new().closed();
    let slow = Config { pending_after_ms: 1, lease_ms: 600_000, ..config() };
    let one = db.bench_with(world.clone(), slow.clone()).await;
    assert_eq!(one.ask(&call(1)).await.outcome, Outcome::Pending);
    let two = db.bench_with(world.clone(), slow).await;
    assert_eq!(two.recover().await, 0, "it belongs to the other");
    super::service::meddle(two.db(), "UPDATE inbox SET due_at_ms = 1").await;
    assert_eq!(two.recover().await, 1, "the other seems to be dead");
    world.open();
    // Both end; whoever is first has said it for ever.
    one.until_idle().await;
    two.until_idle().await;
    let (_, first) = one.ask_bytes(&call(1)).await;
    assert_eq!(two.ask_bytes(&again(&call(1))).await.1, first);
    assert_eq!(done(one.db()).await.iter().filter(|what| what.starts_with("recorded")).count(), 1);
    assert_eq!(two.ask(&call(1)).await.outcome, succeeded(json!({ "key": "step/do/1" })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_are_renewed_while_a_call_is_in_hand() {
    let db = TestDb::postgres();
    let world = World::new().closed();
    let config = Config { pending_after_ms: 1, lease_ms: 30, ..config() };
    let bench = db.bench_with(world.clone(), config).await;
    bench.ask(&call(1)).await;
    let due = async || super::service::rows(bench.db()).await[0].due_at_ms;
    let first = due().await;
    while due().await == first {
        tokio::task::yield_now().await;
    }
    assert!(due().await > first);
    world.open();
    bench.outcome_of(&call(1).effect).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_migrate_at_once() {
    let db = TestDb::postgres();
    let migrate = || async {
        let database = Database::connect(&db.url, &Pools::default()).await.unwrap();
        service(World::new()).migrate(&database).await
    };
    let (one, two, three) = tokio::join!(migrate(), migrate(), migrate());
    assert_eq!((one, two, three), (Ok(()), Ok(()), Ok(())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_on_a_sqlite_file_is_refused() {
    let db = TestDb::sqlite();
    assert!(db.is_sqlite());
    let bench = db.bench().await;
    let second = Database::connect(&db.url, &Pools::default()).await;
    assert!(matches!(second, Err(Error::InUse(_))), "{second:?}");
    bench.stop().await.close().await;
    Database::connect(&db.url, &Pools::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_of_a_sqlite_file_cannot_write() {
    use sea_orm::ConnectionTrait;
    let db = TestDb::sqlite();
    let bench = db.bench().await;
    let result = bench.db().reader().execute_unprepared("DELETE FROM inbox").await;
    assert!(result.is_err());
}
