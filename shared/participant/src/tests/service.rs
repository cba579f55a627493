//! The service that the rules are tried on: it does what a command's data tells it to do.

use std::sync::OnceLock;

use amends_contract::{Command, Outcome, SagaId, Timestamp};
use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use sea_orm_migration::{MigrationTrait, prelude::*};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Config, Database, Handler, HandlerError, Participant, Work,
    entity::inbox::{Entity, Model},
    testing::{Bench, Cluster, saga_at},
    tests::world::World,
};

/// A database of a test's own.
pub(crate) struct TestDb {
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl TestDb {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/service.db", folder.path().display());
        Self { url, _folder: Some(folder) }
    }

    pub(crate) fn postgres() -> Self {
        Self { url: Cluster::database(), _folder: None }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// The service on the test bench.
    pub(crate) async fn bench(&self) -> Bench {
        self.bench_with(World::new(), config()).await
    }

    pub(crate) async fn bench_with(&self, world: World, config: Config) -> Bench {
        Bench::start(service(world), &self.url, config).await.unwrap()
    }
}

/// Without waits that a test would notice, and with leases that none outlives.
pub(crate) fn config() -> Config {
    Config {
        retry_initial_ms: 5,
        retry_cap_ms: 50,
        pending_after_ms: 60_000,
        recover_initial_ms: 0,
        recover_cap_ms: 0,
        lease_ms: 3_600_000,
        call_timeout_ms: 60_000,
        drain_ms: 100,
        ..Config::default()
    }
}

pub(crate) fn service(world: World) -> Participant {
    Participant::new("test")
        .on("do", Doer)
        .on("undo", Undoer)
        .on_bulk("do-many", super::bulk::ManyDoer)
        .on_bulk("undo-many", super::bulk::ManyUndoer)
        .on_external("call", world.caller(false))
        .on_external("call-back", world.caller(true))
        .migrations(migrations)
}

/// A saga of today; the same number is the same saga.
pub(crate) fn saga(number: u64) -> SagaId {
    static TODAY: OnceLock<Timestamp> = OnceLock::new();
    saga_at(*TODAY.get_or_init(now), number)
}

pub(crate) fn now() -> Timestamp {
    let elapsed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_ms(<i64 as TryFrom<u128>>::try_from(elapsed.as_millis()).unwrap())
}

pub(crate) fn action(number: u64, data: Value) -> Command {
    crate::testing::command(saga(number), "step", "test.do", data)
}

/// The action by a call outside.
pub(crate) fn call(number: u64) -> Command {
    crate::testing::command(saga(number), "step", "test.call", json!({}))
}

pub(crate) fn undo(action: &Command) -> Command {
    let name = match action.address.command.as_str() {
        "call" => "call-back",
        "do-many" => "undo-many",
        _ => "undo",
    };
    crate::testing::undo_of(action, name)
}

pub(crate) fn fence(command: &Command) -> Command {
    let mut fence = command.clone();
    fence.address = amends_contract::Address::fence(command.address.participant.clone());
    fence.send_no += 100;
    fence
}

/// The same command, sent once more.
pub(crate) fn again(command: &Command) -> Command {
    Command { send_no: command.send_no + 1, ..command.clone() }
}

pub(crate) fn succeeded(output: Value) -> Outcome {
    Outcome::Succeeded { output: output.into() }
}

pub(crate) fn rejected(code: &str, message: &str) -> Outcome {
    Outcome::Rejected { code: code.to_owned(), message: message.to_owned() }
}

pub(crate) fn failed(code: &str) -> Outcome {
    Outcome::Failed { code: code.to_owned(), retry_after_ms: None }
}

/// What the service did, in order: `<what> <effect id without its saga>`.
pub(crate) async fn done(db: &Database) -> Vec<String> {
    let statement =
        Statement::from_string(db.reader().get_database_backend(), "SELECT what FROM done ORDER BY 1");
    let rows = db.reader().query_all_raw(statement).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
}

pub(crate) async fn note(db: &impl ConnectionTrait, what: &str, command: &Command) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    let effect = command.effect.to_string();
    let what = format!("{what} {}", effect.split_once('/').unwrap().1);
    let place = if backend == DbBackend::Sqlite { "?" } else { "$1" };
    let sql = format!("INSERT INTO done (what) VALUES ({place})");
    db.execute_raw(Statement::from_sql_and_values(backend, sql, [what.into()])).await?;
    Ok(())
}

/// The inbox, as rows by effect id.
pub(crate) async fn rows(db: &Database) -> Vec<Model> {
    use sea_orm::{EntityTrait, QueryOrder};
    Entity::find().order_by_asc(crate::entity::inbox::Column::EffectId).all(db.reader()).await.unwrap()
}

/// The states of the inbox's rows, such as `step/do/1 final succeeded`.
pub(crate) async fn states(db: &Database) -> Vec<String> {
    use sea_orm::ActiveEnum;
    let line = |row: Model| {
        let effect = row.effect_id.split_once('/').unwrap().1.to_owned();
        let outcome = row.outcome.map(|outcome| format!(" {outcome}")).unwrap_or_default();
        format!("{effect} {}{outcome}", row.state.to_value())
    };
    rows(db).await.into_iter().map(line).collect()
}

/// Does something to the database that the SDK would not do.
pub(crate) async fn meddle(db: &Database, sql: &str) {
    let tx = db.begin().await.unwrap();
    tx.execute_unprepared(sql).await.unwrap();
    tx.commit().await.unwrap();
}

struct Doer;

#[async_trait]
impl Handler for Doer {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        assert!(work.undone().is_none(), "an action undoes nothing");
        note(work.db(), "did", command).await?;
        work.event("thing", "done", json!({ "n": command.data["n"] }))?;
        let wish = command.data["do"].as_str().unwrap_or("succeed");
        misbehave(work, wish)
            .await
            .map(|outcome| outcome.unwrap_or_else(|| succeeded(json!({ "n": command.data["n"] }))))
    }
}

struct Undoer;

#[async_trait]
impl Handler for Undoer {
    async fn handle(&self, work: &mut Work<'_>, command: &Command) -> Result<Outcome, HandlerError> {
        let undone = work.undone().expect("an undo knows its action").clone();
        assert_eq!(Some(&undone.effect), command.undoes.as_ref());
        note(work.db(), "undid", command).await?;
        let wish = command.data["undo"].as_str().unwrap_or("succeed");
        let outcome = misbehave(work, wish).await?;
        Ok(outcome.unwrap_or(Outcome::Undone { output: json!({ "was": undone.output }).into() }))
    }
}

/// Everything a handler can do but succeed.
pub(crate) async fn misbehave(work: &Work<'_>, wish: &str) -> Result<Option<Outcome>, HandlerError> {
    Ok(Some(match wish {
        "succeed" => return Ok(None),
        "reject" => rejected("no", "because"),
        "fail" => Outcome::Failed { code: "later".to_owned(), retry_after_ms: Some(7) },
        "illegal" => Outcome::Pending,
        "large" => succeeded(json!("x".repeat(600 * 1024))),
        "nul" => succeeded(json!("x\0")),
        "panic" => panic!("as the test wants"),
        "data" => return Err(HandlerError::Data("no such field".to_owned())),
        "internal" => return Err(HandlerError::Internal("a bug".to_owned())),
        "transient" => {
            let (code, detail) = ("busy".to_owned(), "later".to_owned());
            return Err(HandlerError::Transient { code, detail, retry_after_ms: Some(9) });
        }
        "sql" => {
            work.db().execute_unprepared("INSERT INTO nowhere VALUES (1)").await?;
            return Ok(None);
        }
        "unique" => {
            work.db().execute_unprepared("INSERT INTO parent (id) VALUES (1)").await?;
            return Ok(None);
        }
        "at-commit" => {
            work.db().execute_unprepared("INSERT INTO child (parent) VALUES (4711)").await?;
            return Ok(None);
        }
        other => panic!("unknown wish {other:?}"),
    }))
}

fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(Tables)]
}

struct Tables;

impl MigrationName for Tables {
    fn name(&self) -> &str {
        "test_0001"
    }
}

#[expect(elided_lifetimes_in_paths, reason = "written as in the trait, or async_trait binds it elsewhere")]
#[async_trait::async_trait]
impl MigrationTrait for Tables {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for sql in [
            "CREATE TABLE done (what TEXT NOT NULL)",
            "CREATE TABLE parent (id BIGINT PRIMARY KEY)",
            // Breaks at the commit only, so that the whole batch does.
            "CREATE TABLE child (parent BIGINT REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            db.execute_unprepared(sql).await?;
        }
        Ok(())
    }
}
