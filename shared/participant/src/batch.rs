//! One batch of commands in one transaction: look, decide, do, write, commit.
//!
//! The domain code runs before the inbox rows are inserted, all at once: should another process have been
//! faster with any of them, the count tells, and the transaction is rolled back whole and run again. So first
//! sendings of actions are not even looked for before: there is hardly ever a row of one, and if there is, all are
//! run again with a look. At most one command per step of a saga is in a batch, so that none depends on another.
//!
//! Invariant: effects, rows, replies and events of a batch are committed together or not at all.

use std::collections::{BTreeMap, HashMap};

use amends_contract::{Direction, EffectId, Event, Timestamp};
use amends_inbox::{Decision, decide};
use amends_planted::{Bug, planted};
use metrics::histogram;
use sea_orm::{DatabaseTransaction, DbErr};
use thiserror::Error;

use amends_crash as crash;

use crate::{
    bulk,
    calls::Call,
    core::Core,
    database::{Failure, dialect},
    entity::inbox::Model,
    inbox::{self, Written},
    meter, outbox, step,
    task::Task,
};

/// What became of a task.
pub(crate) enum Done {
    /// An answer.
    Reply {
        /// The reply's bytes.
        body: Vec<u8>,
        /// The outcome's name.
        outcome: &'static str,
    },
    /// The intent is committed; the call is to be made.
    Call(Box<Call>),
    /// Nobody asked, and there is nothing to say yet.
    Silent,
}

/// Why a batch was not committed. It has left no trace, or its commit's outcome is unknown: either way it
/// can be run again.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Setback {
    #[error(transparent)]
    Database(#[from] DbErr),
    /// Another process handled one of the commands at the same time.
    #[error("another process was faster")]
    Raced,
    /// Commands that were to be done at once have to be done one by one.
    #[error("not at once")]
    Together,
}

/// How commands are done that bulk handlers do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bulk {
    /// Those of one name together.
    Together,
    /// Each alone.
    Apart,
}

impl Setback {
    /// What it asks for.
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Database(error) => Failure::of(error),
            Self::Raced | Self::Together => Failure::Contention,
        }
    }
}

/// How a batch is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Try {
    look: Look,
    bulk: Bulk,
}

/// What is looked for in the inbox first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    ForAll,
    /// Of first sendings nothing is expected there.
    ForOthers,
}

/// A batch's transaction and what it is going to write.
pub(crate) struct Batch<'a> {
    pub(crate) core: &'a Core,
    pub(crate) tx: &'a DatabaseTransaction,
    pub(crate) now: Timestamp,
    /// Whether `rows` are all there are of the tasks' effects.
    is_read: bool,
    pub(crate) rows: BTreeMap<String, Model>,
    pub(crate) writes: Writes,
}

/// The rows to be written at the end.
#[derive(Default)]
pub(crate) struct Writes {
    pub(crate) new: Vec<Model>,
    /// Undos that waited and are settled now.
    pub(crate) settled: Vec<Model>,
    /// Undos that waited and call now.
    pub(crate) prepared: Vec<Model>,
    /// Actions to be marked as voiding.
    pub(crate) voided: Vec<String>,
    /// Tombstones that gave their first answer.
    pub(crate) cancelled: Vec<Model>,
    /// Waiting undos that could not be done yet.
    pub(crate) postponed: Vec<(String, Timestamp)>,
    /// Effects whose domain code came to no outcome, so that nothing is written for them.
    pub(crate) unrecorded: Vec<String>,
    pub(crate) events: Vec<Event>,
}

/// Handles the tasks in one transaction; answers in their order.
pub(crate) async fn attempt(core: &Core, tasks: &[Task]) -> Result<Vec<Done>, Setback> {
    let look = if tasks.iter().any(is_first) { Look::ForOthers } else { Look::ForAll };
    let mut how = Try { look, bulk: Bulk::Together };
    loop {
        match transact(core, tasks, how).await {
            Err(Setback::Raced) if how.look == Look::ForOthers => how.look = Look::ForAll,
            Err(Setback::Together) => how = Try { look: Look::ForAll, bulk: Bulk::Apart },
            done => return done,
        }
    }
}

/// Whether it is the first sending of an action, come for the first time.
fn is_first(task: &Task) -> bool {
    let Task { command, cause, parcel, .. } = task;
    parcel.is_some()
        && command.send_no == 1
        && command.effect.direction == Direction::Forward
        && !command.is_fence()
        && cause.is_some_and(|cause| cause.delivery == 1)
}

async fn transact(core: &Core, tasks: &[Task], how: Try) -> Result<Vec<Done>, Setback> {
    let tx = core.db.begin().await?;
    match within(core, &tx, tasks, how).await {
        Ok((done, has_events)) => {
            tx.commit().await.inspect_err(|_| core.db.forget_clock())?;
            histogram!(meter::BATCH).record(u32::try_from(tasks.len()).unwrap_or(u32::MAX));
            if has_events {
                core.events.notify_one();
            }
            Ok(done)
        }
        Err(setback) => {
            if matches!(setback, Setback::Database(_)) {
                core.db.forget_clock();
            }
            // Explicitly, and awaited: a dropped transaction only queues its rollback.
            if let Err(error) = tx.rollback().await {
                tracing::debug!(%error, "rolling back");
            }
            Err(setback)
        }
    }
}

async fn within(
    core: &Core,
    tx: &DatabaseTransaction,
    tasks: &[Task],
    how: Try,
) -> Result<(Vec<Done>, bool), Setback> {
    let now = core.db.clock(tx).await?;
    let decide = |rows: &BTreeMap<String, Model>| -> Vec<Decision> {
        tasks.iter().map(|task| look(core, task, rows, now)).collect()
    };
    let is_expected = |task: &&Task| how.look == Look::ForAll || !is_first(task);
    let mut rows = inbox::find(tx, &effects(tasks.iter().filter(is_expected)), false).await?;
    let mut decisions = decide(&rows);
    // What is not run is answered by what stands in the inbox.
    let is_answered = |(task, decision): (&Task, &Decision)| is_first(task) && *decision != Decision::Run;
    let mut is_read = how.look == Look::ForAll;
    if !is_read && tasks.iter().zip(&decisions).any(is_answered) {
        rows = inbox::find(tx, &effects(tasks), false).await?;
        decisions = decide(&rows);
        is_read = true;
    }
    lock(core, tx, tasks, &decisions).await?;
    let mut batch = Batch { core, tx, now, is_read, rows, writes: Writes::default() };
    let mut at_once = match how.bulk {
        Bulk::Together => bulk::run(&mut batch, tasks, &decisions).await?,
        Bulk::Apart => HashMap::new(),
    };
    let mut done = Vec::with_capacity(tasks.len());
    for (place, (task, decision)) in tasks.iter().zip(decisions).enumerate() {
        if place == tasks.len() / 2 {
            crash::point(crash::MID_BATCH);
        }
        done.push(match at_once.remove(&place) {
            Some(done) => done,
            None => step::take(&mut batch, task, decision).await?,
        });
    }
    let has_events = !batch.writes.events.is_empty();
    match batch.write().await? {
        Written::All => Ok((done, has_events)),
        Written::Raced => Err(Setback::Raced),
    }
}

/// The effects whose rows matter: each command's own, and the action's of an undo.
fn effects<'a>(tasks: impl IntoIterator<Item = &'a Task>) -> Vec<String> {
    let mut effects: Vec<String> = tasks
        .into_iter()
        .flat_map(|task| [Some(&task.command.effect), task.command.undoes.as_ref()])
        .flatten()
        .map(ToString::to_string)
        .collect();
    effects.sort_unstable();
    effects.dedup();
    effects
}

fn look(core: &Core, task: &Task, rows: &BTreeMap<String, Model>, now: Timestamp) -> Decision {
    let row = |effect: &EffectId| if rows.is_empty() { None } else { rows.get(&effect.to_string()) };
    let known = |effect: &EffectId| row(effect).map(Model::known);
    let own = known(&task.command.effect);
    let action = task.command.undoes.as_ref().and_then(known);
    let expired = inbox::is_expired(task.command.effect.saga, now, core.config.horizon_s);
    let expired = expired && !planted(Bug::NeverExpires);
    match decide(&task.command, own.as_ref(), action.as_ref(), expired) {
        Decision::Void if planted(Bug::TombstoneOverOpen) => Decision::NothingToUndo { tombstone: true },
        Decision::Repeat if planted(Bug::RunsDuplicates) && !task.command.is_fence() => Decision::Run,
        decision => decision,
    }
}

/// Locks what the handlers will touch, in one order for the whole batch.
async fn lock(
    core: &Core,
    tx: &DatabaseTransaction,
    tasks: &[Task],
    decisions: &[Decision],
) -> Result<(), DbErr> {
    let Some(locks) = core.locks.as_ref().filter(|_| dialect::is_shared(tx)) else {
        return Ok(());
    };
    let commands: Vec<_> = tasks
        .iter()
        .zip(decisions)
        .filter(|(_, decision)| **decision == Decision::Run)
        .map(|(task, _)| &task.command)
        .collect();
    if commands.is_empty() { Ok(()) } else { locks.lock(tx, &commands).await }
}

impl Batch<'_> {
    async fn write(self) -> Result<Written, DbErr> {
        let Self { tx, now, is_read, rows, mut writes, .. } = self;
        writes.voided.sort_unstable();
        writes.voided.dedup();
        for written in [
            inbox::insert(tx, writes.new).await?,
            inbox::settle(tx, writes.settled).await?,
            inbox::prepare(tx, writes.prepared).await?,
            inbox::void(tx, &writes.voided, now).await?,
            inbox::record_cancelled(tx, writes.cancelled).await?,
        ] {
            if written == Written::Raced {
                return Ok(Written::Raced);
            }
        }
        inbox::postpone(tx, writes.postponed).await?;
        outbox::insert(tx, &writes.events, now).await?;
        // Domain code may have failed just because the same effect was done already.
        if (dialect::is_shared(tx) || !is_read) && !writes.unrecorded.is_empty() {
            let appeared = inbox::find(tx, &writes.unrecorded, false).await?;
            if appeared.keys().any(|effect| !rows.contains_key(effect)) {
                return Ok(Written::Raced);
            }
        }
        Ok(Written::All)
    }
}
