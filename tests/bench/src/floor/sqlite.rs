//! SQLite: a connection on a thread of its own, prepared statements, a transaction for each batch.
//!
//! Invariant: `synchronous=FULL`, so a commit that has returned survives a loss of power.

use std::{path::Path, sync::mpsc, thread};

use anyhow::{Context, ensure};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use tokio::sync::oneshot;

use super::{
    laden,
    store::{EffectRow, SagaRow},
};

const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4000;
";
const SCHEMA: &str = "
    CREATE TABLE saga (id BLOB PRIMARY KEY, version INTEGER NOT NULL, status TEXT NOT NULL,
        state BLOB NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE log (saga_id BLOB NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, entry BLOB NOT NULL,
        PRIMARY KEY (saga_id, seq)) WITHOUT ROWID;
    CREATE TABLE inbox (effect_id TEXT PRIMARY KEY, reply BLOB NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE effect (effect_id TEXT PRIMARY KEY, saga_id BLOB NOT NULL, kind TEXT NOT NULL,
        amount INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
";
const SAGA: &str = "INSERT INTO saga VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (id) DO UPDATE SET
    version = excluded.version, status = excluded.status, state = excluded.state,
    updated_at = excluded.updated_at WHERE saga.version = excluded.version - 1";
const LOG: &str = "INSERT INTO log VALUES (?1, ?2, ?3, ?4)";
const INBOX: &str = "INSERT INTO inbox VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
const EFFECT: &str = "INSERT INTO effect VALUES (?1, ?2, ?3, ?4, ?5)";
const RECORDED: &str = "SELECT reply FROM inbox WHERE effect_id = ?1";

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A way to the thread that writes.
pub(super) struct Sqlite {
    jobs: mpsc::Sender<Job>,
    write: fn(&Transaction<'_>, &[SagaRow]) -> anyhow::Result<usize>,
}

impl Sqlite {
    pub(super) fn open(component: &str, folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(format!("floor-{component}.sqlite"));
        ensure!(!path.exists(), "{} is there already: give an empty folder", path.display());
        Self::start(component, &path, write, SCHEMA)
    }

    /// With a file in which the product's tables are.
    pub(super) fn laden(component: &str, path: &Path) -> anyhow::Result<Self> {
        ensure!(path.exists(), "{} is not there: `amends migrate orchestrator` makes it", path.display());
        Self::start(component, path, laden::write, "PRAGMA cache_size = -16000")
    }

    fn start(
        component: &str,
        path: &Path,
        write: fn(&Transaction<'_>, &[SagaRow]) -> anyhow::Result<usize>,
        first: &str,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(path).with_context(|| path.display().to_string())?;
        connection.execute_batch(PRAGMAS)?;
        connection.execute_batch(first)?;
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new().name(format!("{component}-db")).spawn(move || {
            while let Ok(job) = queue.recv() {
                job(&mut connection);
            }
        })?;
        Ok(Self { jobs, write })
    }

    async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            done.send(job(connection)).ok();
        });
        self.jobs.send(job).ok();
        result.await.context("the thread that writes has ended")?
    }

    pub(super) async fn commit_sagas(&self, rows: Vec<SagaRow>) -> anyhow::Result<usize> {
        let write = self.write;
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let won = write(&transaction, &rows)?;
            transaction.commit()?;
            Ok(won)
        })
        .await
    }

    pub(super) async fn commit_effects(&self, mut rows: Vec<EffectRow>) -> anyhow::Result<Vec<EffectRow>> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut inbox = transaction.prepare_cached(INBOX)?;
                let mut effect = transaction.prepare_cached(EFFECT)?;
                for row in &mut rows {
                    if inbox.execute(params![row.id, &row.reply[..], row.at])? == 1 {
                        effect.execute(params![row.id, row.saga.as_bytes(), row.kind, row.amount, row.at])?;
                    } else {
                        let recorded = transaction.query_row(RECORDED, [&row.id], |row| row.get(0));
                        let recorded: Option<Vec<u8>> = recorded.optional()?;
                        row.reply = recorded.context("it was there just now")?.into();
                    }
                }
            }
            transaction.commit()?;
            Ok(rows)
        })
        .await
    }

    pub(super) async fn count(&self, query: &'static str) -> anyhow::Result<i64> {
        self.run(move |connection| Ok(connection.query_row(query, [], |row| row.get(0))?)).await
    }
}

/// Writes sagas and the entries of their logs; gives how many were of the version before.
fn write(transaction: &Transaction<'_>, rows: &[SagaRow]) -> anyhow::Result<usize> {
    let (mut saga, mut log) = (transaction.prepare_cached(SAGA)?, transaction.prepare_cached(LOG)?);
    let mut won = 0;
    for row in rows {
        let id = row.id.as_bytes();
        if saga.execute(params![id, row.version, row.status, row.state, row.at])? == 1 {
            log.execute(params![id, row.version, row.at, row.entry])?;
            won += 1;
        }
    }
    Ok(won)
}
