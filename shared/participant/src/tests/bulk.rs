//! Bulk handlers: many at once where all goes well, each alone where something does not.

use amends_contract::{Command, Outcome};
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};

use super::service::{TestDb, done, failed, misbehave, note, rejected, saga, states, succeeded, undo};
use crate::{BulkHandler, HandlerError, Work, testing::Bench};

on_both_databases!(
    many_are_done_at_once,
    a_rejected_one_leaves_nothing_and_harms_nobody,
    what_goes_wrong_is_found_out_alone,
    many_are_undone_at_once,
    a_handler_that_miscounts_is_asked_one_by_one,
);

/// Does all that are not rejected; notes how many there were.
pub(crate) struct ManyDoer;

#[async_trait]
impl BulkHandler for ManyDoer {
    async fn handle(&self, works: &mut [Work<'_>]) -> Result<Vec<Outcome>, HandlerError> {
        together(works).await?;
        let mut outcomes = Vec::new();
        let miscounts = works.len() > 1 && works.iter().any(|work| wish(work) == "miscount");
        for work in works.iter_mut().skip(usize::from(miscounts)) {
            let command = work.command();
            assert!(work.undone().is_none(), "an action undoes nothing");
            if wish(work) == "reject" {
                outcomes.push(rejected("no", "because"));
                continue;
            }
            note(work.db(), "did", command).await?;
            work.event("thing", "done", json!({ "n": command.data["n"] }))?;
            let wished = if wish(work) == "miscount" { "succeed" } else { wish(work) };
            let outcome = misbehave(work, wished).await?;
            outcomes.push(outcome.unwrap_or_else(|| succeeded(json!({ "n": command.data["n"] }))));
        }
        Ok(outcomes)
    }
}

/// Undoes all.
pub(crate) struct ManyUndoer;

#[async_trait]
impl BulkHandler for ManyUndoer {
    async fn handle(&self, works: &mut [Work<'_>]) -> Result<Vec<Outcome>, HandlerError> {
        together(works).await?;
        let mut outcomes = Vec::new();
        for work in works.iter() {
            let undone = work.undone().expect("an undo knows its action");
            assert_eq!(Some(&undone.effect), work.command().undoes.as_ref());
            note(work.db(), "undid", work.command()).await?;
            outcomes.push(Outcome::Undone { output: json!({ "was": undone.output }).into() });
        }
        Ok(outcomes)
    }
}

fn wish<'a>(work: &Work<'a>) -> &'a str {
    work.command().data["do"].as_str().unwrap_or("succeed")
}

async fn together(works: &[Work<'_>]) -> Result<(), HandlerError> {
    let sql = format!("INSERT INTO done (what) VALUES ('{:03} together')", works.len());
    let db = works[0].db();
    db.execute_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    Ok(())
}

fn action(number: u64, data: Value) -> Command {
    crate::testing::command(saga(number), "step", "test.do-many", data)
}

fn actions(wishes: &[&str]) -> Vec<Command> {
    wishes.iter().zip(1..).map(|(wish, n)| action(n, json!({ "do": wish, "n": n }))).collect()
}

async fn deliver(bench: &Bench, commands: &[Command]) {
    bench.deliver(commands.iter().map(|command| bench.delivery(command)).collect()).await;
    bench.inside.runner.post.idle().await;
}

async fn many_are_done_at_once(db: TestDb) {
    let bench = db.bench().await;
    let commands = actions(&["succeed"; 20]);
    deliver(&bench, &commands).await;
    let mut expected = vec!["020 together"];
    expected.extend(["did step/do/1"; 20]);
    assert_eq!(done(bench.db()).await, expected);
    assert_eq!(states(bench.db()).await, ["step/do/1 final succeeded"; 20]);
    for command in &commands {
        assert_eq!(bench.outcome_of(&command.effect).await, succeeded(json!({ "n": command.data["n"] })));
    }
    deliver(&bench, &commands).await;
    assert_eq!(done(bench.db()).await, expected, "what was done is answered from the inbox");
}

async fn a_rejected_one_leaves_nothing_and_harms_nobody(db: TestDb) {
    let bench = db.bench().await;
    let commands = actions(&["succeed", "reject", "succeed"]);
    deliver(&bench, &commands).await;
    assert_eq!(done(bench.db()).await, ["003 together", "did step/do/1", "did step/do/1"]);
    assert_eq!(bench.outcome_of(&commands[1].effect).await, rejected("no", "because"));
    assert_eq!(bench.outcome_of(&commands[2].effect).await, succeeded(json!({ "n": 3 })));
}

async fn what_goes_wrong_is_found_out_alone(db: TestDb) {
    for wrong in ["panic", "sql", "fail", "large", "nul", "illegal", "internal", "transient", "data"] {
        let bench = TestDb::bench(&match db.is_sqlite() {
            true => TestDb::sqlite(),
            false => TestDb::postgres(),
        })
        .await;
        let commands = actions(&["succeed", wrong, "reject", "succeed"]);
        deliver(&bench, &commands).await;
        let mut expected = vec!["001 together"; 2];
        expected.extend(["did step/do/1"; 2]);
        assert_eq!(done(bench.db()).await, expected, "{wrong}");
        let mut names: Vec<_> = bench.replies().iter().map(|reply| reply.outcome.name()).collect();
        names.sort_unstable();
        let is_final = matches!(wrong, "large" | "nul" | "data");
        let of_the_wrong = if is_final { "rejected" } else { "failed" };
        let mut expected = [of_the_wrong, "rejected", "succeeded", "succeeded"];
        expected.sort_unstable();
        assert_eq!(names, expected, "{wrong}");
    }
}

async fn many_are_undone_at_once(db: TestDb) {
    let bench = db.bench().await;
    let mut commands = actions(&["succeed"; 5]);
    deliver(&bench, &commands).await;
    commands.push(action(6, json!({ "n": 6 })));
    let undos: Vec<_> = commands.iter().map(undo).collect();
    deliver(&bench, &undos).await;
    let mut expected = vec!["005 together"; 2];
    expected.extend(["did step/do/1"; 5]);
    expected.extend(["undid step/undo/1"; 5]);
    assert_eq!(done(bench.db()).await, expected);
    let was = Outcome::Undone { output: json!({ "was": { "n": 1 } }).into() };
    assert_eq!(bench.outcome_of(&undos[0].effect).await, was);
    assert_eq!(bench.outcome_of(&undos[5].effect).await, Outcome::NothingToUndo, "it never ran");
}

async fn a_handler_that_miscounts_is_asked_one_by_one(db: TestDb) {
    let bench = db.bench().await;
    let commands = actions(&["succeed", "miscount", "succeed"]);
    deliver(&bench, &commands).await;
    let mut expected = vec!["001 together"; 3];
    expected.extend(["did step/do/1"; 3]);
    assert_eq!(done(bench.db()).await, expected);
    assert_ne!(bench.outcome_of(&commands[1].effect).await, failed("internal"));
}
