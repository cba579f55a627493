//! Recording how external calls ended: a batch of outcomes in one transaction, then their replies.
//!
//! Invariant: the first definite outcome wins; what comes later finds the row settled and changes nothing.
//! An unknown outcome settles nothing, ever: the row stays open and is looked into again.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use metrics::counter;
use sea_orm::{DatabaseTransaction, DbErr};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use amends_crash as crash;

use crate::{
    CallOutcome,
    calls::{Calls, Finished},
    core::{Core, backoff_ms},
    database::{Failure, dialect},
    inbox::{self, Written},
    meter, outbox,
    outcome::{Settling, Writes},
    post::Post,
};

/// Outcomes recorded in one transaction at most.
const COUNT_MAX: usize = 256;

/// How often a batch is tried again whole when others are in its way, before it is tried in halves.
const CONTENTIONS_MAX: u32 = 3;

/// Records outcomes.
pub(crate) struct Settler {
    core: Arc<Core>,
    post: Arc<Post>,
    calls: Arc<Calls>,
}

impl Settler {
    pub(crate) const fn new(core: Arc<Core>, post: Arc<Post>, calls: Arc<Calls>) -> Self {
        Self { core, post, calls }
    }

    /// Records what comes, and renews the leases of what is in hand, until `drained`; then records what
    /// is left.
    pub(crate) async fn run(
        self,
        mut finished: mpsc::UnboundedReceiver<Finished>,
        drained: CancellationToken,
    ) {
        let mut renewal = interval(Duration::from_millis((self.core.config.lease_ms / 3).max(1)));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                count = finished.recv_many(&mut batch, COUNT_MAX) => {
                    if count == 0 {
                        break;
                    }
                }
                _ = renewal.tick() => {
                    self.renew().await;
                    continue;
                }
                () = drained.cancelled() => break,
            }
            self.settle(batch, &drained).await;
        }
        let mut last = Vec::new();
        while let Ok(one) = finished.try_recv() {
            last.push(one);
        }
        self.settle(last, &drained).await;
    }

    /// Records a batch, in one transaction if it can be, else in halves. Gives up only on a shutdown, or
    /// on an outcome that cannot be written at all: its row stays open.
    pub(crate) async fn settle(&self, batch: Vec<Finished>, drained: &CancellationToken) {
        let mut queue = vec![batch];
        let mut setbacks = 0_u32;
        while let Some(mut batch) = queue.pop() {
            if batch.is_empty() {
                continue;
            }
            batch.sort_by_cached_key(|one| one.call.intent.effect.to_string());
            let error = match self.attempt(&batch).await {
                Ok(writes) => {
                    setbacks = 0;
                    self.tell(batch, writes).await;
                    continue;
                }
                Err(error) => error,
            };
            setbacks = setbacks.saturating_add(1);
            counter!(meter::SETBACKS, "why" => "settle").increment(1);
            let is_stuck = match Failure::of(&error) {
                Failure::Defect => true,
                Failure::Contention => setbacks > CONTENTIONS_MAX,
                Failure::Unavailable => false,
            };
            if is_stuck && batch.len() > 1 {
                let rest = batch.split_off(batch.len() / 2);
                queue.extend([rest, batch]);
                continue;
            }
            tracing::warn!(%error, calls = batch.len(), "outcomes of calls cannot be recorded");
            if is_stuck || drained.is_cancelled() {
                batch.iter().for_each(|finished| self.calls.let_go(&finished.call.intent.effect.to_string()));
                continue;
            }
            queue.push(batch);
            let (initial, cap) = (self.core.config.retry_initial_ms, self.core.config.retry_cap_ms);
            tokio::select! {
                () = sleep(Duration::from_millis(backoff_ms(setbacks, initial, cap))) => {}
                () = drained.cancelled() => {}
            }
        }
    }

    async fn attempt(&self, batch: &[Finished]) -> Result<Writes, DbErr> {
        let tx = self.core.db.begin().await?;
        match self.within(&tx, batch).await {
            Ok(writes) => {
                tx.commit().await?;
                Ok(writes)
            }
            Err(error) => {
                if let Err(error) = tx.rollback().await {
                    tracing::debug!(%error, "rolling back");
                }
                Err(error)
            }
        }
    }

    async fn within(&self, tx: &DatabaseTransaction, batch: &[Finished]) -> Result<Writes, DbErr> {
        let now = dialect::now(tx).await?;
        let effects: Vec<String> = batch.iter().map(|one| one.call.intent.effect.to_string()).collect();
        let rows = inbox::find(tx, &effects, true).await?;
        let mut settling =
            Settling { core: &self.core, calls: &self.calls, tx, now, writes: Writes::default() };
        for (finished, effect) in batch.iter().zip(&effects) {
            if let Some(row) = rows.get(effect) {
                settling.take(finished, row).await?;
            }
        }
        let mut writes = settling.writes;
        // The rows are locked: nobody can have been faster.
        let settled = inbox::settle(tx, std::mem::take(&mut writes.settled)).await?;
        debug_assert_eq!(settled, Written::All, "locked rows were settled by another");
        inbox::postpone(tx, std::mem::take(&mut writes.postponed)).await?;
        inbox::give_back(tx, &writes.given_back, now).await?;
        inbox::forget(tx, &writes.forgotten).await?;
        for action in &writes.woken {
            inbox::wake_undos(tx, action, now).await?;
        }
        outbox::insert(tx, &writes.events, now).await?;
        Ok(writes)
    }

    /// After the commit: whoever waits is answered, and so is whoever was told `pending`.
    async fn tell(&self, batch: Vec<Finished>, mut writes: Writes) {
        crash::point(crash::AFTER_COMMIT);
        let mut letters = Vec::new();
        for finished in batch {
            let effect = finished.call.intent.effect.to_string();
            counter!(meter::CALLS, "result" => result(finished.outcome.as_ref())).increment(1);
            if let Some((body, outcome)) = writes.answers.remove(&effect) {
                counter!(meter::ANSWERED, "outcome" => outcome).increment(1);
                let asker = self.calls.take_asker(&effect);
                let (parcel, traceparent) = asker.map(|asker| (asker.parcel, asker.traceparent)).unzip();
                letters.push(self.post.reply(body, traceparent.flatten(), parcel));
            }
            // Its room first: who waits for it to be let go may want that.
            drop(finished);
            self.calls.let_go(&effect);
        }
        if !writes.woken.is_empty() || self.core.starved.swap(false, Ordering::Relaxed) {
            self.core.recover.notify_one();
        }
        if !writes.events.is_empty() {
            self.core.events.notify_one();
        }
        self.post.send(letters).await;
    }

    /// What is in hand stays ours.
    async fn renew(&self) {
        let held = self.calls.held();
        if held.is_empty() {
            return;
        }
        let renewed = async {
            let tx = self.core.db.begin().await?;
            let due = dialect::now(&tx).await?.plus_ms(self.core.config.lease_ms);
            inbox::postpone(&tx, held.into_iter().map(|effect| (effect, due)).collect()).await?;
            tx.commit().await
        };
        if let Err(error) = renewed.await {
            tracing::warn!(%error, "the leases of calls cannot be renewed");
        }
    }
}

fn result(outcome: Option<&CallOutcome>) -> &'static str {
    match outcome {
        None => "not-begun",
        Some(CallOutcome::Unknown { .. }) => "unknown",
        Some(CallOutcome::Definite(outcome)) => outcome.name(),
    }
}
