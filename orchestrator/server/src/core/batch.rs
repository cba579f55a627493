//! The one loop that changes sagas: take, decide, commit, hand over to be published.
//!
//! Batches form by themselves out of what queued while the last commit ran; nothing waits for a batch to
//! fill.
//!
//! Invariant: at most one input per saga in a batch; a loser of a concurrent commit is loaded and decided
//! again, never dropped.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use amends_contract::{DeadReason, SagaId};
use amends_crash as crash;
use amends_engine::Saga;
use amends_store::{CommitResult, ErrorKind, Store, Write};
use metrics::{counter, histogram};
use tokio::sync::{Notify, mpsc};

use super::children;
use super::config::LoopsConfig;
use super::dead_letters::DeadLetters;
use super::decide::{Decided, decide, poison, started};
use super::definitions::Definitions;
use super::publish::Publication;
use super::settled::Settled;
use super::work::{Receipt, Task, Work};
use super::{CoreError, OperateError, Started};

/// Milliseconds after which a reply comes again that cannot be decided for want of its definition.
const LATER_MS: u64 = 5_000;
/// So often: about a minute. Whoever knows the definition by then has had its chance; after that the timers
/// ask for the reply again, for what the broker keeps waiting counts against all that it may deliver.
const LATER_DELIVERIES_MAX: u64 = 12;

/// Everything the loop needs.
pub(crate) struct Batches {
    pub(crate) config: LoopsConfig,
    pub(crate) store: Store,
    pub(crate) definitions: Definitions,
    pub(crate) settled: Settled,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) publications: mpsc::Sender<Publication>,
    /// Is told of the ends of sagas that are steps of others.
    pub(crate) children: children::Handle,
    /// Wakes the loop that publishes events.
    pub(crate) events: Arc<Notify>,
    /// Wakes the loop that gives places.
    pub(crate) places: Arc<Notify>,
}

/// A write and what it leads to.
struct Pending {
    work: Work,
    write: Write,
    commands: Vec<amends_contract::Command>,
}

impl Batches {
    /// Runs until both queues are closed and empty.
    pub(crate) async fn run(self, mut inputs: mpsc::Receiver<Work>, mut starts: mpsc::Receiver<Work>) {
        let mut deferred = VecDeque::new();
        loop {
            let batch = self.take(&mut deferred, &mut inputs, &mut starts).await;
            if batch.is_empty() {
                return;
            }
            let taken = batch.len();
            #[expect(clippy::cast_precision_loss, reason = "a batch has some hundreds")]
            histogram!("amends_batch_sagas").record(batch.len() as f64);
            let again = self.process(batch).await;
            // Nothing more can come, and nothing goes: what is not acknowledged comes to the next process.
            if again.len() == taken && inputs.is_closed() && starts.is_closed() {
                tracing::warn!(inputs = taken + deferred.len(), "left to the next process");
                return;
            }
            deferred.extend(again);
        }
    }

    /// What is there, at most one input per saga; waits when there is nothing.
    async fn take(
        &self,
        deferred: &mut VecDeque<Work>,
        inputs: &mut mpsc::Receiver<Work>,
        starts: &mut mpsc::Receiver<Work>,
    ) -> Vec<Work> {
        let count_max = self.config.batch_count_max;
        let mut taken: Vec<Work> = Vec::new();
        let first = deferred.len().min(count_max);
        taken.extend(deferred.drain(..first));
        if taken.is_empty() {
            // Replies first: they finish what was begun.
            tokio::select! {
                biased;
                Some(work) = inputs.recv() => taken.push(work),
                Some(work) = starts.recv() => taken.push(work),
                else => return Vec::new(),
            }
        }
        while taken.len() < count_max
            && let Ok(work) = inputs.try_recv().or_else(|_| starts.try_recv())
        {
            taken.push(work);
        }
        let mut seen = HashSet::with_capacity(taken.len());
        let mut batch = Vec::with_capacity(taken.len());
        for mut work in taken {
            if seen.insert(work.saga) {
                batch.push(work);
            } else {
                forget_claimed(&mut work);
                deferred.push_back(work);
            }
        }
        batch
    }

    /// Carries one batch through; returns what is to be tried again.
    async fn process(&self, mut batch: Vec<Work>) -> Vec<Work> {
        let mut sagas = claimed(&mut batch);
        let ids: Vec<SagaId> = batch
            .iter()
            .filter(|work| !sagas.contains_key(&work.saga))
            .filter(|work| !matches!(work.task, Task::Start(_)) || work.uncertain)
            .map(|work| work.saga)
            .collect();
        let loaded = match self.store.load(&ids).await {
            Ok(loaded) => loaded,
            Err(error) => return self.database_failed(batch, &error, Vec::new()).await,
        };
        sagas.extend(loaded.sagas.into_iter().map(|saga| (saga.id, saga)));
        self.learn_definitions(&sagas).await;
        let unreadable: HashSet<SagaId> = loaded.unreadable.into_iter().map(|row| row.id).collect();
        let mut publication = Publication::default();
        let mut dead = Vec::new();
        let mut pending = Vec::new();
        for work in batch {
            let saga = sagas.remove(&work.saga);
            let definition =
                saga.as_ref().and_then(|saga| self.definitions.get(&saga.definition, saga.digest));
            let decided = if unreadable.contains(&work.saga) {
                poison(work, "the saga's row cannot be read".to_owned())
            } else {
                decide(work, saga, definition.as_ref(), loaded.now)
            };
            match decided {
                Decided::Write { work, write, commands } => {
                    pending.push(Pending { work, write: *write, commands });
                }
                other => finish(other, &mut publication, &mut dead),
            }
        }
        let again = self.commit(pending, &mut publication, &mut dead).await;
        if !publication.is_empty() {
            // Closed only when the process is going down; then nothing is acknowledged and all comes again.
            let _ = self.publications.send(publication).await;
        }
        self.dead_letters.set_aside(dead).await;
        again
    }

    /// Looks for definitions that another process has stored, if a saga here needs one.
    async fn learn_definitions(&self, sagas: &HashMap<SagaId, Saga>) {
        let known = |saga: &Saga| self.definitions.get(&saga.definition, saga.digest).is_some();
        if sagas.values().all(known) {
            return;
        }
        if self.definitions.may_refresh(Duration::from_millis(self.config.definition_interval_ms))
            && let Err(error) = self.definitions.refresh(&self.store).await
        {
            return tracing::warn!(%error, "definitions could not be looked for");
        }
        for saga in sagas.values().filter(|saga| !known(saga)) {
            self.definitions.miss(saga);
        }
    }

    async fn commit(
        &self,
        pending: Vec<Pending>,
        publication: &mut Publication,
        dead: &mut Vec<(Arc<Receipt>, DeadReason)>,
    ) -> Vec<Work> {
        let mut again = Vec::new();
        // Halves of a batch that a single row spoils; the last one out is the next one tried.
        let mut parts = vec![pending];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let writes: Vec<Write> = part.iter().map(|pending| pending.write.clone()).collect();
            crash::point(crash::MID_BATCH);
            match self.store.commit(writes).await {
                Ok(results) => {
                    crash::point(crash::AFTER_COMMIT);
                    counter!("amends_commits_total").increment(1);
                    for (pending, result) in part.into_iter().zip(results) {
                        again.extend(self.conclude(pending, result, publication));
                    }
                }
                Err(error) if spoiled(&error) && part.len() > 1 => {
                    let second = part.split_off(part.len() / 2);
                    parts.push(second);
                    parts.push(part);
                }
                Err(error) if error.is_poison() => {
                    for pending in part {
                        finish(poison(pending.work, error.to_string()), publication, dead);
                    }
                }
                Err(error) => {
                    let works = part.into_iter().chain(parts.drain(..).flatten());
                    let works = works.map(|pending| pending.work).collect();
                    again = self.database_failed(works, &error, again).await;
                }
            }
        }
        again
    }

    /// What follows from one row's result; returns a loser, to be tried again.
    fn conclude(
        &self,
        pending: Pending,
        result: CommitResult,
        publication: &mut Publication,
    ) -> Option<Work> {
        let Pending { mut work, write, commands } = pending;
        match (result, work.task) {
            (CommitResult::Won, task) => {
                if !write.events.is_empty() {
                    self.events.notify_one();
                }
                if write.saga.places().next().is_some() {
                    self.places.notify_one();
                }
                publication.commands.extend(commands);
                if write.saga.status().is_terminal() {
                    self.settled.notify(&write.saga);
                    if write.saga.parent.is_some() {
                        self.children.ended(&write.saga);
                    }
                }
                succeed(task, Some(write.saga), publication);
                None
            }
            (CommitResult::DuplicateKey, Task::Start(task)) => {
                let _ = task.answer.send(Ok(Started::DuplicateKey));
                None
            }
            (CommitResult::Conflict | CommitResult::DuplicateKey, task) => {
                counter!("amends_commit_conflicts_total").increment(1);
                work.task = task;
                work.tries += 1;
                work.uncertain |= matches!(work.task, Task::Start(_));
                forget_claimed(&mut work);
                if work.tries > self.config.conflict_tries_max { give_up(work) } else { Some(work) }
            }
        }
    }

    /// The database does not answer: callers are told, replies and timers stay.
    async fn database_failed(
        &self,
        works: Vec<Work>,
        error: &amends_store::Error,
        mut again: Vec<Work>,
    ) -> Vec<Work> {
        tracing::warn!(%error, inputs = works.len(), "the database failed; inputs are kept");
        counter!("amends_database_failures_total").increment(1);
        let unknown = error.is_outcome_unknown();
        for mut work in works {
            forget_claimed(&mut work);
            work.uncertain |= unknown;
            match work.task {
                Task::Start(task) if !unknown => {
                    let _ = task.answer.send(Err(CoreError::Unavailable));
                }
                Task::Operate { answer, .. } if !unknown => {
                    let _ = answer.send(Err(OperateError::Unavailable));
                }
                // It is claimed again when its lease is over.
                Task::Timer(_) => {}
                task => again.push(Work { task, ..work }),
            }
        }
        tokio::time::sleep(Duration::from_millis(self.config.database_retry_ms)).await;
        again
    }
}

/// Whether a part of the batch may do better without the rest.
fn spoiled(error: &amends_store::Error) -> bool {
    matches!(error.kind(), ErrorKind::Poison | ErrorKind::Failed)
}

/// The sagas that came with their timers.
fn claimed(batch: &mut [Work]) -> HashMap<SagaId, Saga> {
    batch
        .iter_mut()
        .filter_map(|work| match &mut work.task {
            Task::Timer(due) => due.claimed.take().map(|saga| (work.saga, *saga)),
            _ => None,
        })
        .collect()
}

/// A timer's saga is out of date once another input of it was handled.
fn forget_claimed(work: &mut Work) {
    if let Task::Timer(due) = &mut work.task {
        due.claimed = None;
    }
}

/// An input that lost too often. Replies come again from the broker, timers from the database.
fn give_up(work: Work) -> Option<Work> {
    match work.task {
        Task::Start(task) => drop(task.answer.send(Err(CoreError::Unavailable))),
        Task::Operate { answer, .. } => drop(answer.send(Err(OperateError::Unavailable))),
        Task::Reply { receipt, .. } => receipt.again_after(1_000),
        Task::Timer(_) | Task::Child(_) => {}
    }
    None
}

/// Tells whoever waits that the input is dealt with.
fn succeed(task: Task, saga: Option<Saga>, publication: &mut Publication) {
    match task {
        Task::Reply { receipt, .. } => publication.receipts.push(receipt),
        Task::Timer(_) | Task::Child(_) => {}
        Task::Start(task) => {
            if let Some(saga) = saga {
                let _ = task.answer.send(Ok(started(saga)));
            }
        }
        Task::Operate { answer, .. } => {
            let _ = answer.send(saga.ok_or(OperateError::NotFound));
        }
    }
}

/// Finishes what needs no commit.
fn finish(decided: Decided, publication: &mut Publication, dead: &mut Vec<(Arc<Receipt>, DeadReason)>) {
    match decided {
        Decided::Write { .. } => unreachable!("a write is committed, not finished"),
        Decided::Nothing { work, saga, commands } => {
            counter!("amends_inputs_ignored_total").increment(1);
            publication.commands.extend(commands);
            succeed(work.task, saga.map(|saga| *saga), publication);
        }
        Decided::Refused { work, why } => {
            if let Task::Operate { answer, .. } = work.task {
                let _ = answer.send(Err(why));
            }
        }
        Decided::Unroutable { work, reason } => {
            if let Task::Reply { receipt, .. } = work.task {
                dead.push((receipt, reason));
            }
        }
        Decided::Later { work } => {
            counter!("amends_inputs_definition_unknown_total").increment(1);
            // A timer comes again when its lease is over.
            match work.task {
                Task::Reply { receipt, .. } if receipt.delivery().delivered < LATER_DELIVERIES_MAX => {
                    receipt.again_after(LATER_MS);
                }
                Task::Reply { receipt, .. } => receipt.done(),
                _ => {}
            }
        }
        Decided::Unstartable { work, error } => {
            if let Task::Start(task) = work.task {
                let _ = task.answer.send(Err(error));
            }
        }
    }
}
