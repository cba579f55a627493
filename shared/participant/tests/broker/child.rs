//! The participant as a process of its own: this very test binary, started for one hidden test.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
};

use amends_broker::Broker;
use amends_contract::{Command as SagaCommand, Outcome};
use amends_participant::{
    CallOutcome, Config, Database, External, Handler, HandlerError, Intent, Participant, Pools, Prepared,
    Work,
    sea_orm::ConnectionTrait,
    sea_orm_migration::{MigrationTrait, prelude::*},
};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

const NATS: &str = "AMENDS_TEST_NATS";
const DATABASE: &str = "AMENDS_TEST_DATABASE";
const CRASH_POINT: &str = "AMENDS_CRASH_POINT";

/// A participant that runs in another process.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it; it dies at the crash point, if one is named.
    pub(crate) fn start(nats: &str, database: &str, crash_point: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child::participant", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(NATS, nats).env(DATABASE, database).env_remove(CRASH_POINT);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Some(point) = crash_point {
            command.env(CRASH_POINT, point);
        }
        Self(command.spawn().unwrap())
    }

    /// Waits until it has died by itself.
    pub(crate) async fn died(&mut self) {
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                assert!(!status.success(), "it ended in peace: {status}");
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The effects that the participant has had, as it counts them itself. Only while it is dead.
pub(crate) async fn effects(database: &str) -> Vec<String> {
    let db = Database::connect(database, &Pools::default()).await.unwrap();
    let rows = db.reader().query_all_raw(statement("SELECT what FROM done ORDER BY what")).await.unwrap();
    let effects = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
    db.close().await;
    effects
}

pub(crate) fn participant_of(name: &str, world: &Path) -> Participant {
    let world = world.join("world");
    Participant::new(name)
        .on("do", Doer)
        .on("undo", Undoer)
        .on_external("call", Caller { world })
        .migrations(tables)
}

pub(crate) fn config() -> Config {
    // Calls of a dead process are taken up at once: the one on a SQLite file knows that it is alone.
    Config { recover_initial_ms: 10, recover_interval_ms: 20, ..Config::default() }
}

#[ignore = "the process that other tests start and kill"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participant() {
    let url = std::env::var(DATABASE).unwrap();
    let nats = serde_json::from_value(json!({ "url": std::env::var(NATS).unwrap() })).unwrap();
    let broker = Broker::connect(&nats, "test").await.unwrap();
    let db = Database::connect(&url, &Pools::default()).await.unwrap();
    let world = Path::new(url.trim_start_matches("sqlite://")).parent().unwrap().to_owned();
    let participant = participant_of("test", &world);
    participant.run(db, broker, config(), CancellationToken::new()).await.unwrap();
}

struct Doer;

#[async_trait]
impl Handler for Doer {
    async fn handle(&self, work: &mut Work<'_>, command: &SagaCommand) -> Result<Outcome, HandlerError> {
        note(work, "did", command).await?;
        work.event("thing", "done", json!({}))?;
        Ok(Outcome::Succeeded { output: json!({ "n": command.data["n"] }).into() })
    }
}

struct Undoer;

#[async_trait]
impl Handler for Undoer {
    async fn handle(&self, work: &mut Work<'_>, command: &SagaCommand) -> Result<Outcome, HandlerError> {
        note(work, "undid", command).await?;
        Ok(Outcome::Undone { output: Value::Null.into() })
    }
}

/// Calls a world that is a folder: a file per key, made at most once, and a byte in it per call.
struct Caller {
    world: std::path::PathBuf,
}

#[async_trait]
impl External for Caller {
    async fn prepare(&self, _: &mut Work<'_>, _: &SagaCommand) -> Result<Prepared, HandlerError> {
        Ok(Prepared::Call(Value::Null))
    }

    async fn call(&self, intent: &Intent) -> CallOutcome {
        std::fs::create_dir_all(&self.world).unwrap();
        let path = self.world.join(intent.effect.to_string().replace('/', "_"));
        let mut file = std::fs::File::options().create(true).append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, b".").unwrap();
        CallOutcome::Definite(Outcome::Succeeded { output: json!({ "key": intent.effect }).into() })
    }

    async fn record(&self, work: &mut Work<'_>, intent: &Intent, _: &Outcome) -> Result<(), HandlerError> {
        note(work, "called", &intent.command).await
    }
}

async fn note(work: &Work<'_>, what: &str, command: &SagaCommand) -> Result<(), HandlerError> {
    // The id is our own: letters, digits, `/` and `-`.
    let sql = format!("INSERT INTO done (what) VALUES ('{what} {}')", command.effect);
    work.db().execute_raw(statement(&sql)).await?;
    Ok(())
}

fn statement(sql: &str) -> amends_participant::sea_orm::Statement {
    amends_participant::sea_orm::Statement::from_string(amends_participant::sea_orm::DbBackend::Sqlite, sql)
}

fn tables() -> Vec<Box<dyn MigrationTrait>> {
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
        manager.get_connection().execute_unprepared("CREATE TABLE done (what TEXT NOT NULL)").await?;
        Ok(())
    }
}
