//! Finds the sagas whose time has come and hands them to the next commit.
//!
//! Invariant: a claim is a lease, outside the saga's version and journal: whoever dies with it only delays.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_contract::Digest;
use amends_store::Store;
use metrics::counter;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::conditions::Watch;
use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::work::{Due, Task, Work};

/// The loop's parts.
pub(crate) struct Timers {
    pub(crate) config: LoopsConfig,
    pub(crate) store: Store,
    pub(crate) conditions: Watch,
    pub(crate) definitions: Definitions,
    pub(crate) inputs: mpsc::Sender<Work>,
}

impl Timers {
    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.timer_interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let pause = Duration::from_millis(self.config.definition_interval_ms);
            self.definitions.learn_the_unknown(&self.store, pause).await;
            while let Some(full) = self.claim().await {
                if !full || shutdown.is_cancelled() {
                    break;
                }
            }
        }
    }

    /// Claims what is due; `Some(true)` when there may be more, `None` when there is nothing or nobody.
    async fn claim(&mut self) -> Option<bool> {
        let LoopsConfig { timer_count_max, claim_lease_ms, .. } = self.config;
        let except: Vec<Digest> = self.definitions.unknown().iter().map(|unknown| unknown.digest).collect();
        let claimed = match self.store.claim_due(timer_count_max, claim_lease_ms, &except).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(%error, "the timers wait for the database");
                tokio::time::sleep(Duration::from_millis(self.config.database_retry_ms)).await;
                return None;
            }
        };
        for row in &claimed.unreadable {
            tracing::error!(saga = %row.id, why = row.why, "a due saga cannot be read");
        }
        if claimed.sagas.is_empty() {
            return None;
        }
        let conditions = self.conditions.now().await;
        let full = claimed.sagas.len() >= self.config.timer_count_max as usize;
        counter!("amends_timers_fired_total").increment(claimed.sagas.len() as u64);
        for saga in claimed.sagas {
            let due = Due {
                conditions: Arc::clone(&conditions),
                claimed: Some(Box::new(saga)),
                slots: BTreeSet::new(),
                released: false,
            };
            let id = due.claimed.as_ref().map(|saga| saga.id)?;
            self.inputs.send(Work::new(id, Task::Timer(due))).await.ok()?;
        }
        Some(full)
    }
}
