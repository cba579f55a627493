//! Gives the places of steps that say `concurrency`, and tells the sagas that got one.
//!
//! Any number of orchestrators give at once; the database counts.
//!
//! Invariant: the wake-up carries nothing. Whatever was missed, or given by somebody who died, is found by
//! interval.

use std::sync::Arc;
use std::time::Duration;

use amends_store::{Error, Places, Store};
use metrics::counter;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::conditions::Watch;
use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::work::{Due, Task, Work};

/// The loop's parts.
pub(crate) struct PlaceGiver {
    config: LoopsConfig,
    store: Store,
    definitions: Definitions,
    conditions: Watch,
    inputs: mpsc::Sender<Work>,
    wake: Arc<Notify>,
}

impl PlaceGiver {
    pub(crate) fn new(
        config: &LoopsConfig,
        store: &Store,
        definitions: &Definitions,
        conditions: Watch,
        inputs: &mpsc::Sender<Work>,
        wake: &Arc<Notify>,
    ) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            definitions: definitions.clone(),
            conditions,
            inputs: inputs.clone(),
            wake: Arc::clone(wake),
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.place_interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let retry = Duration::from_millis(self.config.place_retry_ms);
        let mut told_again_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => {}
                _ = tick.tick() => {}
            }
            let given = self.give().await;
            if !self.tell(given).await {
                return;
            }
            if told_again_at.is_none_or(|at| at.elapsed() >= retry) {
                told_again_at = Some(Instant::now());
                let unused = self.unused().await;
                if !self.tell(unused).await {
                    return;
                }
            }
        }
    }

    async fn give(&self) -> Places {
        let mut given = Places::new();
        for limit in self.definitions.place_limits() {
            let places = match self.store.may_give_places(&limit).await {
                Ok(true) => self.store.give_places(&limit, self.config.place_count_max).await,
                Ok(false) => continue,
                Err(error) => Err(error),
            };
            match places {
                Ok(places) => {
                    let count: usize = places.values().map(std::collections::BTreeSet::len).sum();
                    counter!("amends_places_given_total").increment(count as u64);
                    for (saga, steps) in places {
                        given.entry(saga).or_default().extend(steps);
                    }
                }
                Err(error) => self.failed(&error).await,
            }
        }
        given
    }

    /// Places that their sagas do not use.
    async fn unused(&self) -> Places {
        if self.definitions.place_limits().is_empty() {
            return Places::new();
        }
        match self.store.unused_places(self.config.place_retry_ms, self.config.place_count_max).await {
            Ok(places) => places,
            Err(error) => {
                self.failed(&error).await;
                Places::new()
            }
        }
    }

    /// Hands the sagas to the next commit; false when that is closed.
    async fn tell(&mut self, places: Places) -> bool {
        if places.is_empty() {
            return true;
        }
        let conditions = self.conditions.now().await;
        for (saga, slots) in places {
            let due = Due { conditions: Arc::clone(&conditions), claimed: None, slots, released: false };
            if self.inputs.send(Work::new(saga, Task::Timer(due))).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn failed(&self, error: &Error) {
        tracing::warn!(%error, "places wait for the database");
        tokio::time::sleep(Duration::from_millis(self.config.database_retry_ms)).await;
    }
}
