//! The thread that writes sagas and marks to SQLite: whatever waits goes into one transaction.
//!
//! Everything else writes through the pool's one connection. The thread takes that one, too, while it writes: so
//! writers of this process queue for each other, and only other processes have to be waited for by SQLite itself.
//!
//! Invariant: what was answered is on the disk, and what was answered with an error is not in the database, unless
//! the error says that this is unknown.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use amends_contract::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use sea_orm::sqlx::Error as SqlxError;
use sea_orm::sqlx::sqlite::SqlitePool;
use sea_orm::{ConnAcquireErr, DbErr};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::commit::{Batch, Outcome, by_row};
use crate::error::Blame;
use crate::{Committed, Error, events};

/// Prepared statements kept: each kind that is used here, and some room.
const STATEMENTS_KEPT: usize = 32;

/// How the file is opened.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) file: PathBuf,
    /// How long other processes are waited for.
    pub(crate) patience: Duration,
    /// How long marks wait for a commit that they can go with.
    pub(crate) marks_wait: Duration,
    /// Statements to be run on the new connection.
    pub(crate) pragmas: String,
}

/// A way to the thread, which is started when it is first needed.
pub(crate) struct Writer {
    opening: Opening,
    pool: SqlitePool,
    jobs: Mutex<Option<Sender<Job>>>,
}

/// What the thread is asked for.
enum Job {
    Mark(Mark),
    Commit(Commit),
    /// Let go of the file; the sender is dropped when that is done.
    Close(oneshot::Sender<()>),
}

struct Mark {
    seqs: Vec<i64>,
    at: Timestamp,
    done: oneshot::Sender<Result<(), Error>>,
}

struct Commit {
    batch: Batch,
    done: oneshot::Sender<Result<Vec<Committed>, Error>>,
}

impl Writer {
    pub(crate) const fn new(opening: Opening, pool: SqlitePool) -> Self {
        Self { opening, pool, jobs: Mutex::new(None) }
    }

    /// Commits a batch. It runs to its end even if the caller goes away.
    pub(crate) async fn commit(&self, batch: Batch) -> Result<Vec<Committed>, Error> {
        let (done, result) = oneshot::channel();
        self.ask(Job::Commit(Commit { batch, done }))?;
        result.await.unwrap_or_else(|_| Err(Error::OutcomeUnknown(ended())))
    }

    /// Marks events as published at that time.
    pub(crate) async fn mark(&self, seqs: Vec<i64>, at: Timestamp) -> Result<(), Error> {
        let (done, result) = oneshot::channel();
        self.ask(Job::Mark(Mark { seqs, at, done }))?;
        result.await.unwrap_or_else(|_| Err(Error::OutcomeUnknown(ended())))
    }

    /// Waits for what was asked for, and lets go of the file.
    pub(crate) async fn close(&self) {
        let Some(jobs) = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let (done, closed) = oneshot::channel();
        if jobs.send(Job::Close(done)).is_ok() {
            let _ = closed.await;
        }
    }

    fn ask(&self, job: Job) -> Result<(), Error> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match &*jobs {
            Some(jobs) => jobs.send(job).err().map(|refused| refused.0),
            None => Some(job),
        };
        // The first one, or the one behind a thread that has panicked.
        if let Some(job) = refused {
            let started = self.start()?;
            // If it is gone already, whoever waits for the job hears of it.
            let _ = started.send(job);
            *jobs = Some(started);
        }
        Ok(())
    }

    fn start(&self) -> Result<Sender<Job>, Error> {
        let (sender, jobs) = channel();
        let thread = Thread {
            opening: self.opening.clone(),
            pool: self.pool.clone(),
            runtime: Handle::current(),
            connection: None,
        };
        thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || thread.run(&jobs)).map_err(
            |error| Error::Unavailable(DbErr::Custom(format!("no thread to write with: {error}"))),
        )?;
        Ok(sender)
    }
}

fn ended() -> DbErr {
    DbErr::Custom("the thread that writes has ended".to_owned())
}

struct Thread {
    opening: Opening,
    pool: SqlitePool,
    runtime: Handle,
    /// Opened when it is first needed, and again after it was left in a bad state.
    connection: Option<Connection>,
}

impl Thread {
    /// Runs until it is told to close, or nobody is left who could ask for anything.
    fn run(mut self, jobs: &Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            match gather(first, jobs, self.opening.marks_wait) {
                (marks, Some(Job::Commit(commit))) => self.write(marks, Some(commit)),
                (marks, Some(Job::Close(done))) => {
                    self.write(marks, None);
                    self.connection = None;
                    drop(done);
                    return;
                }
                (marks, _) => self.write(marks, None),
            }
        }
    }

    /// Carries out what is asked for, and answers.
    fn write(&mut self, marks: Vec<Mark>, commit: Option<Commit>) {
        if marks.is_empty() && commit.is_none() {
            return;
        }
        let outcome = self.transact(&marks, commit.as_ref().map(|commit| &commit.batch));
        // Whoever does not wait any more need not be told.
        for Mark { done, .. } in marks {
            let _ = done.send(outcome.as_ref().map(|_| ()).map_err(Trouble::error));
        }
        if let Some(Commit { batch, done }) = commit {
            let outcomes = outcome.map_err(|trouble| trouble.error());
            let _ = done.send(outcomes.map(|outcomes| batch.concluded(outcomes)));
        }
    }

    fn transact(&mut self, marks: &[Mark], batch: Option<&Batch>) -> Result<Vec<Outcome>, Trouble> {
        // Giving the connection back is the runtime's work, too.
        let _entered = self.runtime.enter();
        let _turn = self.runtime.block_on(self.pool.acquire()).map_err(Trouble::waiting)?;
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.opening.open().map_err(Trouble::undone)?),
        };
        let outcome = in_transaction(connection, marks, batch);
        if !connection.is_autocommit() {
            self.connection = None;
        }
        outcome
    }
}

/// Marks up to something else, for which they wait a moment: in a transaction of their own they would cost as much as
/// a commit, and hold up the next one.
fn gather(first: Job, jobs: &Receiver<Job>, marks_wait: Duration) -> (Vec<Mark>, Option<Job>) {
    let (mut marks, mut next) = (Vec::new(), Some(first));
    let by = Instant::now() + marks_wait;
    loop {
        match next {
            Some(Job::Mark(mark)) => marks.push(mark),
            other => return (marks, other),
        }
        next = jobs.recv_timeout(by.saturating_duration_since(Instant::now())).ok();
    }
}

fn in_transaction(
    connection: &mut Connection,
    marks: &[Mark],
    batch: Option<&Batch>,
) -> Result<Vec<Outcome>, Trouble> {
    // A deferred one fails at once when it turns to writing while another process writes, whatever the busy
    // timeout says.
    let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = begun.map_err(Trouble::undone)?;
    let outcomes = carry_out(&transaction, marks, batch).map_err(Trouble::undone)?;
    transaction.commit().map_err(Trouble::at_commit)?;
    Ok(outcomes)
}

fn carry_out(
    transaction: &Transaction<'_>,
    marks: &[Mark],
    batch: Option<&Batch>,
) -> rusqlite::Result<Vec<Outcome>> {
    for Mark { seqs, at, .. } in marks {
        events::mark(transaction, seqs, *at)?;
    }
    batch.map_or(Ok(Vec::new()), |batch| by_row::commit(transaction, batch))
}

impl Opening {
    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.file, flags)?;
        connection.busy_timeout(self.patience)?;
        connection.execute_batch(&self.pragmas)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(connection)
    }
}

/// What went wrong, so that all who waited for it can be told.
struct Trouble {
    blame: Blame,
    error: DbErr,
    /// It went wrong while committing.
    at_commit: bool,
}

impl Trouble {
    fn waiting(error: SqlxError) -> Self {
        let error = match error {
            SqlxError::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
            SqlxError::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
            other => DbErr::Custom(other.to_string()),
        };
        Self { blame: Blame::Connection, error, at_commit: false }
    }

    fn undone(error: rusqlite::Error) -> Self {
        Self { blame: Blame::of_rusqlite(&error), error: DbErr::Custom(error.to_string()), at_commit: false }
    }

    fn at_commit(error: rusqlite::Error) -> Self {
        Self { at_commit: true, ..Self::undone(error) }
    }

    fn error(&self) -> Error {
        let error = self.error.clone();
        if self.at_commit { self.blame.at_commit(error) } else { self.blame.undone(error) }
    }
}
