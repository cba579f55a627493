//! The only writer of sagas: a whole batch in one transaction.
//!
//! First the rows are won (a changed row by its version, a new one by its id and idempotency key), then
//! the journal, labels and events of the winners are written. A loser never rolls back the others.
//!
//! Invariant: a saga's row and its journal change together, and `version` is the journal's length. The two together
//! say how the saga stands; see [`rebuild`](crate::rebuild).

mod arrays;
mod attempt;
mod batch;
pub(crate) mod by_row;
mod claim;
mod statement;

pub use claim::Outage;

use std::borrow::Borrow;
use std::panic::resume_unwind;
use std::time::Duration;

use amends_contract::{Digest, Event};
use amends_engine::{JournalEntry, Saga};
use sea_orm::DbErr;
use tracing::Instrument as _;
use uuid::Uuid;

pub(crate) use self::batch::{Batch, Outcome};
use crate::error::Blame;
use crate::{Error, OutboxRow, Store};

/// What one transition leaves behind.
#[derive(Clone, Debug)]
pub struct Write {
    /// The saga as it is now.
    pub saga: Saga,
    /// Its version before; 0 for a new saga.
    pub expected_version: u64,
    /// What was decided.
    pub entry: JournalEntry,
    /// What the world shall hear.
    pub events: Vec<Event>,
    /// The caller's key, if it gave one; it is taken together with the saga or not at all.
    pub idempotency: Option<IdempotencyKey>,
}

/// A caller's promise that it means one and the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The id of the API key that the caller came with.
    pub owner: Uuid,
    /// The caller's own text.
    pub key: String,
    /// What was asked for.
    pub body_digest: Digest,
    /// What the caller is told, now and whenever it asks again.
    pub answer: String,
}

/// What became of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitResult {
    /// It is committed.
    Won,
    /// The saga is no longer (or, if new, already) as expected: load it and decide again.
    Conflict,
    /// The idempotency key belongs to another saga; nothing was written.
    DuplicateKey,
}

/// What became of a write, and what is known of it then.
#[derive(Clone, Debug)]
pub struct Committed {
    /// What became of it.
    pub result: CommitResult,
    /// Its events as they stand in the outbox; none of a write that did not win.
    pub events: Vec<OutboxRow>,
}

impl PartialEq<CommitResult> for Committed {
    fn eq(&self, result: &CommitResult) -> bool {
        self.result == *result
    }
}

impl Store {
    /// Commits the writes in one transaction; the results are in the same order. Once begun, it runs to
    /// its end even if the caller goes away.
    ///
    /// # Errors
    /// Nothing is committed on [`Error::Unavailable`] (try again later), [`Error::Poison`] (one of the
    /// rows is to blame: halve the batch and try again) and the others; after [`Error::OutcomeUnknown`]
    /// the sagas must be loaded to know.
    pub async fn commit(&self, writes: &[impl Borrow<Write>]) -> Result<Vec<Committed>, Error> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        let batch = Batch::new(writes, self.config().snapshot_every)?;
        match self.sqlite_writer() {
            Some(writer) => writer.commit(batch).await,
            None => self.commit_by_itself(batch).await,
        }
    }

    async fn commit_by_itself(&self, batch: Batch) -> Result<Vec<Committed>, Error> {
        let store = self.clone();
        let commit =
            async move { store.commit_batch(&batch).await.map(|outcomes| batch.concluded(outcomes)) };
        match tokio::spawn(commit.in_current_span()).await {
            Ok(results) => results,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => Err(Error::OutcomeUnknown(DbErr::Custom(error.to_string()))),
            },
        }
    }

    async fn commit_batch(&self, batch: &Batch) -> Result<Vec<Outcome>, Error> {
        let mut tries = 1;
        loop {
            let error = match self.attempt(batch).await {
                Ok(results) => return Ok(results),
                Err(error) => error,
            };
            match &error {
                Error::Unavailable(cause)
                    if Blame::of(cause) == Blame::Contention && tries < self.config().commit_tries_max =>
                {
                    tracing::debug!(%error, tries, "a commit was broken off for another one");
                    // Grows, so that the two do not meet in step again.
                    tokio::time::sleep(Duration::from_millis(u64::from(tries) * 10)).await;
                    tries += 1;
                }
                _ => {
                    // If a connection broke, the next one may lead to another server, with another clock.
                    self.forget_clock();
                    return Err(error);
                }
            }
        }
    }
}
