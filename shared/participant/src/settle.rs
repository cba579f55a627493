//! Recording how external calls ended: a batch of outcomes in one transaction, then their replies.
//!
//! Invariant: the first definite outcome wins; what comes later finds the row settled and changes nothing.
//! An unknown outcome settles nothing, ever: the row stays open and is looked into again.

use std::{collections::BTreeMap, sync::Arc, sync::atomic::Ordering, time::Duration};

use amends_contract::{EffectId, Event, Outcome, Timestamp};
use metrics::counter;
use sea_orm::{DatabaseTransaction, DbErr, TransactionTrait};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    CallOutcome, HandlerError,
    calls::{Calls, Finished},
    core::{Core, backoff_ms},
    crash,
    database::{Failure, dialect},
    domain,
    entity::inbox::{Model, State},
    inbox::{self, Written},
    meter, outbox,
    post::Post,
    reply,
};

/// Outcomes recorded in one transaction at most.
const COUNT_MAX: usize = 256;

/// Records outcomes.
pub(crate) struct Settler {
    core: Arc<Core>,
    post: Arc<Post>,
    calls: Arc<Calls>,
}

/// What a transaction is going to write.
#[derive(Default)]
struct Writes {
    settled: Vec<Model>,
    postponed: Vec<(String, Timestamp)>,
    forgotten: Vec<String>,
    given_back: Vec<String>,
    /// Actions whose undos wait for this.
    woken: Vec<EffectId>,
    events: Vec<Event>,
    /// By effect id: what to say.
    answers: BTreeMap<String, (Vec<u8>, &'static str)>,
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
            if Failure::of(&error) == Failure::Defect && batch.len() > 1 {
                let rest = batch.split_off(batch.len() / 2);
                queue.extend([rest, batch]);
                continue;
            }
            tracing::warn!(%error, calls = batch.len(), "outcomes of calls cannot be recorded");
            if Failure::of(&error) == Failure::Defect || drained.is_cancelled() {
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
        let mut writes = Writes::default();
        for (finished, effect) in batch.iter().zip(&effects) {
            match rows.get(effect) {
                Some(row) if row.is_unsettled() => self.one(tx, now, finished, row, &mut writes).await?,
                // Somebody was faster; who asked us gets the same answer.
                Some(row) => {
                    if let Some(body) = row.reply.clone() {
                        writes.answers.insert(effect.clone(), (body, "repeated"));
                    }
                }
                None => {}
            }
        }
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

    async fn one(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
        finished: &Finished,
        row: &Model,
        writes: &mut Writes,
    ) -> Result<(), DbErr> {
        let call = &finished.call;
        match &finished.outcome {
            None => writes.given_back.push(row.effect_id.clone()),
            Some(CallOutcome::Unknown { code, retry_after_ms }) => {
                tracing::info!(
                    effect = row.effect_id,
                    code,
                    calls = row.calls,
                    "the outcome of a call is unknown"
                );
                writes.postponed.push((row.effect_id.clone(), self.due(now, row, *retry_after_ms)));
            }
            Some(CallOutcome::Definite(Outcome::Failed { code, retry_after_ms })) => {
                let only = call.first && row.calls == 1;
                let outcome = Outcome::Failed { code: reply::clean(code), retry_after_ms: *retry_after_ms };
                if only && row.state == State::Voiding {
                    self.void(tx, now, finished, &outcome, writes).await?;
                } else if only && self.calls.is_awaited(&row.effect_id) {
                    self.forget(tx, now, finished, &outcome, writes).await?;
                } else {
                    writes.postponed.push((row.effect_id.clone(), self.due(now, row, *retry_after_ms)));
                }
            }
            Some(CallOutcome::Definite(outcome)) => {
                let command = &call.intent.command;
                match domain::judge_call(&self.core.name, command, call.cause, outcome.clone()) {
                    Some((outcome, body)) => {
                        self.record(tx, now, finished, row, (outcome, body), writes).await?
                    }
                    None => writes.postponed.push((row.effect_id.clone(), self.due(now, row, None))),
                }
            }
        }
        Ok(())
    }

    /// A definite, final outcome: the service's own rows and the inbox row.
    async fn record(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
        finished: &Finished,
        row: &Model,
        (outcome, body): (Outcome, Vec<u8>),
        writes: &mut Writes,
    ) -> Result<(), DbErr> {
        let Some(events) = self.told(tx, now, finished, &outcome).await? else {
            writes.postponed.push((row.effect_id.clone(), self.due(now, row, None)));
            return Ok(());
        };
        writes.events.extend(events);
        Self::settled(now, finished, State::Final, (&outcome, body), writes);
        if row.state == State::Voiding {
            writes.woken.push(finished.call.intent.effect.clone());
        }
        Ok(())
    }

    /// Tells the service; `None` if it could not take it.
    async fn told(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
        finished: &Finished,
        outcome: &Outcome,
    ) -> Result<Option<Vec<Event>>, DbErr> {
        let call = &finished.call;
        let savepoint = tx.begin().await?;
        let scope = domain::Scope {
            core: &self.core,
            db: &savepoint,
            now,
            command: &call.intent.command,
            undone: call.intent.undone.as_ref(),
        };
        let (result, events) = scope.record(&*call.external, &call.intent, outcome).await;
        match result {
            Ok(()) => {
                savepoint.commit().await?;
                Ok(Some(events))
            }
            Err(HandlerError::Database(error)) if Failure::of(&error) != Failure::Defect => {
                savepoint.rollback().await?;
                Err(error)
            }
            Err(error) => {
                tracing::error!(effect = %call.intent.effect, %error, "an outcome could not be recorded");
                savepoint.rollback().await?;
                Ok(None)
            }
        }
    }

    /// The only call did nothing, and somebody waits to be told so: as if it had never been asked for.
    async fn forget(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
        finished: &Finished,
        outcome: &Outcome,
        writes: &mut Writes,
    ) -> Result<(), DbErr> {
        let call = &finished.call;
        let effect = call.intent.effect.to_string();
        let Some(events) = self.told(tx, now, finished, outcome).await? else {
            writes.postponed.push((effect, now.plus_ms(self.core.config.recover_initial_ms)));
            return Ok(());
        };
        writes.events.extend(events);
        let body = reply::encode_plain(&self.core.name, &call.intent.command, call.cause, outcome);
        writes.answers.insert(effect.clone(), (body, outcome.name()));
        writes.forgotten.push(effect);
        Ok(())
    }

    /// The only call of an action did nothing, and it is to be undone: it never ran and never will.
    async fn void(
        &self,
        tx: &DatabaseTransaction,
        now: Timestamp,
        finished: &Finished,
        failed: &Outcome,
        writes: &mut Writes,
    ) -> Result<(), DbErr> {
        let call = &finished.call;
        let Some(events) = self.told(tx, now, finished, failed).await? else {
            let due = now.plus_ms(self.core.config.recover_initial_ms);
            writes.postponed.push((call.intent.effect.to_string(), due));
            return Ok(());
        };
        writes.events.extend(events);
        let cancelled = Outcome::Cancelled;
        let body = reply::encode_plain(&self.core.name, &call.intent.command, call.cause, &cancelled);
        Self::settled(now, finished, State::Tombstone, (&cancelled, body), writes);
        writes.woken.push(call.intent.effect.clone());
        Ok(())
    }

    fn settled(
        now: Timestamp,
        finished: &Finished,
        state: State,
        (outcome, body): (&Outcome, Vec<u8>),
        writes: &mut Writes,
    ) {
        let effect = &finished.call.intent.effect;
        writes.answers.insert(effect.to_string(), (body.clone(), outcome.name()));
        writes.settled.push(Model {
            outcome: Some(outcome.name().to_owned()),
            reply: Some(body),
            ..inbox::row(effect, state, now)
        });
    }

    fn due(&self, now: Timestamp, row: &Model, retry_after_ms: Option<u64>) -> Timestamp {
        match retry_after_ms {
            Some(ms) => now.plus_ms(ms.min(self.core.config.recover_cap_ms)),
            None => self.core.due_again(now, row.calls),
        }
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
