//! Rule 7: what the inbox may have forgotten is not run.

use amends_contract::{Command, Outcome, Timestamp};
use serde_json::json;

use super::{
    service::{TestDb, action, config, done, fence, now, rows, states, succeeded, undo},
    world::World,
};
use crate::{
    Config,
    testing::{command, saga_at},
};

on_both_databases!(
    a_command_of_an_old_saga_is_not_run,
    an_undo_of_an_old_saga_is_not_run_even_if_its_action_is_known,
    what_is_recorded_is_answered_however_old,
    old_rows_are_purged_in_small_batches_and_then_expire,
    open_rows_are_never_purged,
);

const HORIZON_S: u64 = 1_000;

fn horizon() -> Config {
    Config { horizon_s: HORIZON_S, purge_margin_s: 500, ..config() }
}

/// An action of a saga that is so many seconds old.
fn aged(age_s: u64, number: u64) -> Command {
    command(saga_at(now().minus_ms(age_s * 1_000), number), "step", "test.do", json!({}))
}

async fn a_command_of_an_old_saga_is_not_run(db: TestDb) {
    let bench = db.bench_with(World::new(), horizon()).await;
    let (old, young) = (aged(HORIZON_S + 60, 1), aged(HORIZON_S - 60, 2));
    for expired in [&old, &undo(&old), &fence(&old), &fence(&undo(&old))] {
        assert_eq!(bench.ask(expired).await.outcome, Outcome::Expired);
    }
    assert_eq!(rows(bench.db()).await, []);
    assert_eq!(bench.ask(&young).await.outcome, succeeded(json!({ "n": null })));
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn an_undo_of_an_old_saga_is_not_run_even_if_its_action_is_known(db: TestDb) {
    let old = aged(HORIZON_S + 60, 1);
    let bench = db.bench().await;
    bench.ask(&old).await;
    let database = bench.stop().await;
    drop(database);
    let bench = db.bench_with(World::new(), horizon()).await;
    assert_eq!(bench.ask(&undo(&old)).await.outcome, Outcome::Expired);
    assert_eq!(bench.ask(&fence(&undo(&old))).await.outcome, Outcome::Expired);
    assert_eq!(done(bench.db()).await, ["did step/do/1"]);
}

async fn what_is_recorded_is_answered_however_old(db: TestDb) {
    let old = aged(HORIZON_S + 60, 1);
    let bench = db.bench().await;
    let (_, first) = bench.ask_bytes(&old).await;
    drop(bench.stop().await);
    let bench = db.bench_with(World::new(), horizon()).await;
    assert_eq!(bench.ask_bytes(&old).await.1, first);
    assert_eq!(bench.ask_bytes(&fence(&old)).await.1, first);
}

async fn old_rows_are_purged_in_small_batches_and_then_expire(db: TestDb) {
    let bench = db.bench().await;
    let old: Vec<_> = (1..=5).map(|number| aged(HORIZON_S + 600, number)).collect();
    let kept = [aged(HORIZON_S + 400, 6), aged(1, 7), action(8, json!({}))];
    for command in old.iter().chain(&kept) {
        bench.ask(command).await;
    }
    bench.ask(&undo(&old[0])).await;
    drop(bench.stop().await);
    let config = Config { purge_count_max: 2, ..horizon() };
    let bench = db.bench_with(World::new(), config).await;
    for expected in [2, 2, 2, 0] {
        assert_eq!(bench.purge().await, expected);
    }
    assert_eq!(rows(bench.db()).await.len(), kept.len());
    for command in &old {
        assert_eq!(bench.ask(command).await.outcome, Outcome::Expired);
    }
    for command in &kept {
        assert_eq!(bench.ask(command).await.outcome, succeeded(json!({ "n": null })));
    }
}

async fn open_rows_are_never_purged(db: TestDb) {
    let world = World::new().closed();
    let bench = db.bench_with(world.clone(), Config { pending_after_ms: 1, ..config() }).await;
    let old = command(
        saga_at(Timestamp::from_unix_ms(now().unix_ms() - 1_600_000), 1),
        "step",
        "test.call",
        json!({}),
    );
    assert_eq!(bench.ask(&old).await.outcome, Outcome::Pending);
    drop(bench.stop().await);
    let bench = db.bench_with(world.clone(), horizon()).await;
    assert_eq!(bench.purge().await, 0);
    assert_eq!(states(bench.db()).await, ["step/do/1 open"]);
    world.open();
}
