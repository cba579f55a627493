//! Runs commands to their answers: batch after batch, again where the database was in the way.
//!
//! Invariant: a command leaves here answered, or (on a shutdown) unacknowledged. While the database is
//! down nothing is lost and nothing is blamed; a command that cannot be handled at all is answered
//! `failed`, and its neighbours are unharmed.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use amends_contract::{Outcome, SagaId, StepRef};
use metrics::counter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use amends_crash as crash;

use crate::{
    batch::{self, Done, Setback},
    calls::Calls,
    core::{Core, backoff_ms},
    database::Failure,
    meter,
    post::Post,
    reply,
    task::Task,
};

/// How often a batch is run again whole when others are in its way, before it is run in halves.
const CONTENTIONS_MAX: u32 = 3;

/// Runs commands. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Runner {
    pub(crate) core: Arc<Core>,
    pub(crate) post: Arc<Post>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) shutdown: CancellationToken,
}

/// A batch with how often others were in its way.
struct Attempted {
    tasks: Vec<Task>,
    contentions: u32,
}

impl Runner {
    /// Runs the tasks.
    pub(crate) async fn run(&self, tasks: Vec<Task>) {
        let mut queue: VecDeque<Attempted> = batches(tasks, self.core.config.batch_count_max)
            .into_iter()
            .map(|tasks| Attempted { tasks, contentions: 0 })
            .collect();
        let mut outages = 0_u32;
        while let Some(attempted) = queue.pop_front() {
            match batch::attempt(&self.core, &attempted.tasks).await {
                Ok(done) => {
                    outages = 0;
                    self.deliver(attempted.tasks, done).await;
                }
                Err(setback) if setback.failure() == Failure::Unavailable => {
                    counter!(meter::SETBACKS, "why" => "unavailable").increment(1);
                    outages = outages.saturating_add(1);
                    tracing::warn!(%setback, commands = attempted.tasks.len(), "the database is unavailable");
                    queue.push_front(attempted);
                    if !self.wait(outages, &queue).await {
                        return;
                    }
                }
                Err(setback) => self.again(attempted, &setback, &mut queue).await,
            }
        }
    }

    /// A batch that did not work goes back into the queue: whole, in halves, or, alone at last, answered.
    async fn again(&self, mut attempted: Attempted, setback: &Setback, queue: &mut VecDeque<Attempted>) {
        let contended = setback.failure() == Failure::Contention;
        counter!(meter::SETBACKS, "why" => if contended { "contention" } else { "defect" }).increment(1);
        attempted.contentions += u32::from(contended);
        tracing::debug!(%setback, commands = attempted.tasks.len(), "a batch is run again");
        if contended && attempted.contentions <= CONTENTIONS_MAX {
            // Two that are in each other's way had better not meet again at once.
            sleep(Duration::from_millis(u64::from(attempted.contentions) * 10)).await;
            queue.push_front(attempted);
        } else if attempted.tasks.len() > 1 {
            let rest = attempted.tasks.split_off(attempted.tasks.len() / 2);
            queue.push_front(Attempted { tasks: rest, contentions: 0 });
            queue.push_front(Attempted { tasks: attempted.tasks, contentions: 0 });
        } else {
            self.give_up(attempted.tasks, setback).await;
        }
    }

    /// Waits while the database is away, and keeps the waiting messages from coming again. `false` on a
    /// shutdown.
    async fn wait(&self, outages: u32, queue: &VecDeque<Attempted>) -> bool {
        for task in queue.iter().flat_map(|attempted| &attempted.tasks) {
            if let Some(parcel) = &task.parcel {
                parcel.progress();
            }
        }
        let config = &self.core.config;
        let wait = backoff_ms(outages, config.retry_initial_ms, config.retry_cap_ms);
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => false,
            () = sleep(Duration::from_millis(wait)) => true,
        }
    }

    /// After the commit: replies are published, calls are made.
    async fn deliver(&self, tasks: Vec<Task>, done: Vec<Done>) {
        crash::point(crash::AFTER_COMMIT);
        let mut letters = Vec::with_capacity(tasks.len());
        for (task, done) in tasks.into_iter().zip(done) {
            match done {
                Done::Reply { body, outcome } => {
                    counter!(meter::ANSWERED, "outcome" => outcome).increment(1);
                    letters.push(self.post.reply(body, task.traceparent, task.parcel));
                }
                Done::Call(call) => self.calls.start_asked(*call, task),
                Done::Silent => {}
            }
        }
        self.post.send(letters).await;
    }

    /// A command that cannot be handled even alone: the orchestrator sees why, and sends it again later.
    async fn give_up(&self, tasks: Vec<Task>, setback: &Setback) {
        let mut letters = Vec::new();
        for task in tasks {
            tracing::error!(effect = %task.command.effect, %setback, "a command cannot be handled");
            if task.parcel.is_some() {
                let outcome = Outcome::Failed { code: "database".to_owned(), retry_after_ms: None };
                counter!(meter::ANSWERED, "outcome" => outcome.name()).increment(1);
                let body = reply::encode_plain(&self.core.name, &task.command, task.cause, &outcome);
                letters.push(self.post.reply(body, task.traceparent, task.parcel));
            }
        }
        self.post.send(letters).await;
    }
}

/// Batches of at most `count_max`, at most one command per step of a saga in each, the first come first.
fn batches(tasks: Vec<Task>, count_max: usize) -> Vec<Vec<Task>> {
    let mut batches = Vec::new();
    let mut left = tasks;
    while !left.is_empty() {
        let mut taken: BTreeSet<(SagaId, StepRef)> = BTreeSet::new();
        let (mut batch, mut rest) = (Vec::new(), Vec::new());
        for task in left {
            let family = (task.command.effect.saga, task.command.effect.step.clone());
            if batch.len() < count_max.max(1) && taken.insert(family) {
                batch.push(task);
            } else {
                rest.push(task);
            }
        }
        batches.push(batch);
        left = rest;
    }
    batches
}
