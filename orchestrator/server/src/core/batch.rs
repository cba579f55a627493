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

use amends_contract::{SagaId, Timestamp};
use amends_crash as crash;
use amends_engine::Saga;
use amends_store::{CommitResult, Committed, ErrorKind, Store, Write};
use metrics::{counter, histogram};
use tokio::sync::{Notify, mpsc};

use super::children;
use super::config::LoopsConfig;
use super::dead_letters::{Dead, DeadLetters};
use super::decide::{Decided, decide, poison};
use super::definitions::Definitions;
use super::ending::{finish, give_up, succeed};
use super::events::{Written, remembered_max};
use super::publish::Publication;
use super::recent::Recent;
use super::settled::Settled;
use super::work::{Task, Work};
use super::{CoreError, OperateError, Started};

/// Everything the loop needs.
pub(crate) struct Batches {
    pub(crate) config: LoopsConfig,
    pub(crate) store: Store,
    pub(crate) definitions: Definitions,
    pub(crate) settled: Settled,
    /// Sagas as this loop left them.
    pub(crate) recent: Recent,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) publications: mpsc::Sender<Publication>,
    /// Is told of the ends of sagas that are steps of others.
    pub(crate) children: children::Handle,
    /// Learns of events that are to be published.
    pub(crate) events: Written,
    /// Wakes the loop that gives places.
    pub(crate) places: Arc<Notify>,
}

/// What was decided about a batch.
#[derive(Default)]
struct Made {
    pending: Vec<Pending>,
    publication: Publication,
    dead: Vec<Dead>,
}

impl Made {
    fn take(&mut self, decided: Decided) {
        match decided {
            Decided::Write { work, write, commands } => {
                self.pending.push(Pending { work, write: *write, commands });
            }
            other => finish(other, &mut self.publication, &mut self.dead),
        }
    }
}

/// A write and what it leads to.
struct Pending {
    work: Work,
    write: Write,
    commands: Vec<amends_contract::Command>,
}

impl Batches {
    /// Runs until both queues are closed and empty.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Work>, mut starts: mpsc::Receiver<Work>) {
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
    async fn process(&mut self, mut batch: Vec<Work>) -> Vec<Work> {
        let mut sagas = claimed(&mut batch);
        let mut made = Made::default();
        let (known, unknown) = self.recall(batch, &mut sagas);
        let (mut unread, mut stale) = (unknown, Vec::new());
        if !known.is_empty() {
            match self.store.clock().await {
                Ok(now) => {
                    self.learn_definitions(&sagas).await;
                    let (doubtful, remembered) = self.decide_remembered(known, &mut sagas, now, &mut made);
                    unread.extend(doubtful);
                    stale = remembered;
                }
                Err(error) => {
                    unread.extend(known);
                    return self.database_failed(unread, &error, Vec::new()).await;
                }
            }
        }
        let mut again = Vec::new();
        if !unread.is_empty() {
            again = self.read_and_decide(unread, sagas, stale, &mut made).await;
        }
        let Made { pending, mut publication, mut dead } = made;
        again.extend(self.commit(pending, &mut publication, &mut dead).await);
        if !publication.is_empty() {
            // Closed only when the process is going down; then nothing is acknowledged and all comes again.
            let _ = self.publications.send(publication).await;
        }
        self.dead_letters.set_aside(dead).await;
        again
    }

    /// Parts what can be decided without a look into the database (the saga is new, or is remembered, and then
    /// put among `sagas`) from what cannot.
    fn recall(&mut self, batch: Vec<Work>, sagas: &mut HashMap<SagaId, Saga>) -> (Vec<Work>, Vec<Work>) {
        batch.into_iter().partition(|work| {
            let remembered = self.recent.take(work.saga);
            match &work.task {
                _ if sagas.contains_key(&work.saga) => false,
                _ if work.uncertain => false,
                Task::Start(_) => true,
                _ => remembered.is_some_and(|saga| sagas.insert(saga.id, saga).is_none()),
            }
        })
    }

    /// Decides about new and remembered sagas. What would change nothing is returned, with what is remembered, to be
    /// decided about what the database says: only a commit that wins proves that what we remember is the newest.
    fn decide_remembered(
        &self,
        works: Vec<Work>,
        sagas: &mut HashMap<SagaId, Saga>,
        now: Timestamp,
        made: &mut Made,
    ) -> (Vec<Work>, Vec<Saga>) {
        let (mut doubtful, mut remembered) = (Vec::new(), Vec::new());
        for work in works {
            let saga = sagas.remove(&work.saga);
            let is_new = saga.is_none();
            let definition =
                saga.as_ref().and_then(|saga| self.definitions.get(&saga.definition, saga.digest));
            match decide(work, saga, definition.as_ref(), now) {
                decided if is_new || matches!(decided, Decided::Write { .. }) => made.take(decided),
                Decided::Nothing { work, saga, .. } => {
                    doubtful.push(work);
                    remembered.extend(saga.map(Arc::unwrap_or_clone));
                }
                decided => doubtful.push(decided.into_work()),
            }
        }
        (doubtful, remembered)
    }

    /// Reads the sagas that did not come with their timers, of the `stale` ones what they lack, and decides; returns what
    /// is to be tried again.
    async fn read_and_decide(
        &self,
        works: Vec<Work>,
        mut sagas: HashMap<SagaId, Saga>,
        stale: Vec<Saga>,
        made: &mut Made,
    ) -> Vec<Work> {
        let (now, unreadable) = match self.read(&works, &mut sagas, stale).await {
            Ok(read) => read,
            Err(error) => return self.database_failed(works, &error, Vec::new()).await,
        };
        self.learn_definitions(&sagas).await;
        for work in works {
            let saga = sagas.remove(&work.saga);
            let definition =
                saga.as_ref().and_then(|saga| self.definitions.get(&saga.definition, saga.digest));
            made.take(if unreadable.contains(&work.saga) {
                poison(work, "the saga's row cannot be read".to_owned())
            } else {
                decide(work, saga, definition.as_ref(), now)
            });
        }
        Vec::new()
    }

    /// Adds the sagas of these works that are not there yet; says when that was, and which cannot be read.
    async fn read(
        &self,
        works: &[Work],
        sagas: &mut HashMap<SagaId, Saga>,
        stale: Vec<Saga>,
    ) -> Result<(Timestamp, HashSet<SagaId>), amends_store::Error> {
        if !stale.is_empty() {
            let caught_up = self.store.caught_up(stale).await?;
            sagas.extend(caught_up.into_iter().map(|saga| (saga.id, saga)));
        }
        let ids: Vec<SagaId> =
            works.iter().map(|work| work.saga).filter(|id| !sagas.contains_key(id)).collect();
        if ids.is_empty() {
            return Ok((self.store.clock().await?, HashSet::new()));
        }
        let loaded = self.store.load(&ids).await?;
        sagas.extend(loaded.sagas.into_iter().map(|saga| (saga.id, saga)));
        Ok((loaded.now, loaded.unreadable.into_iter().map(|row| row.id).collect()))
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
        &mut self,
        pending: Vec<Pending>,
        publication: &mut Publication,
        dead: &mut Vec<Dead>,
    ) -> Vec<Work> {
        let mut again = Vec::new();
        // Halves of a batch that a single row spoils; the last one out is the next one tried.
        let mut parts = vec![pending];
        while let Some(mut part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            let writes: Vec<&Write> = part.iter().map(|pending| &pending.write).collect();
            crash::point(crash::MID_BATCH);
            match self.store.commit(&writes).await {
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
        &mut self,
        pending: Pending,
        committed: Committed,
        publication: &mut Publication,
    ) -> Option<Work> {
        let Pending { mut work, write, commands } = pending;
        match (committed.result, work.task) {
            (CommitResult::Won, task) => {
                let saga = Arc::new(write.saga);
                if !committed.events.is_empty() {
                    self.events.add(committed.events, remembered_max(&self.config));
                }
                if saga.places().next().is_some() {
                    self.places.notify_one();
                }
                publication.commands.extend(commands);
                self.left(&saga);
                succeed(task, saga, publication);
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

    /// Tells who waits for the saga's end, or remembers it for its next input.
    fn left(&mut self, saga: &Arc<Saga>) {
        if !saga.status().is_terminal() {
            self.settled.moved(saga.id);
            return self.recent.keep(saga);
        }
        self.settled.notify(saga);
        if saga.parent.is_some() {
            self.children.ended(saga);
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
