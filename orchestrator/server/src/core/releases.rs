//! Lets sagas go when the outage that held them is over: few at first, then more and more.
//!
//! What waited in the broker meanwhile is answered without this. Let go are those whose messages were lost, or
//! that would otherwise look for themselves much later.
//!
//! Invariant: nobody is let go to a participant that is down or behind, and never more at once than the ramp
//! allows. Whatever is missed here, each saga's own timer finds.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use amends_contract::Token;
use amends_store::{Error, Outage, Store};
use metrics::counter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::conditions::{Conditions, Watch};
use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::pulse::Pulse;
use super::work::{Due, Task, Work};

/// Looks in a row at which nobody might go, after which the next release begins with few again.
const REFUSED_MAX: u32 = 10;

/// The loop's parts.
pub(crate) struct Releases {
    config: LoopsConfig,
    store: Store,
    conditions: Watch,
    definitions: Definitions,
    inputs: mpsc::Sender<Work>,
    pulse: Pulse,
    /// Whether anything was held at the last look.
    is_held: bool,
    /// By participant, the broker under no name. Who is not in it begins at the beginning.
    ramps: HashMap<Option<Token>, Ramp>,
}

/// How far the release of those that one outage held has come.
struct Ramp {
    /// How many may go at the next look.
    count: u32,
    /// Looks in a row at which nobody might go.
    refused: u32,
}

impl Releases {
    pub(crate) fn new(
        config: &LoopsConfig,
        store: &Store,
        definitions: &Definitions,
        conditions: Watch,
        inputs: &mpsc::Sender<Work>,
        pulse: &Pulse,
    ) -> Self {
        Self {
            config: config.clone(),
            store: store.clone(),
            conditions,
            definitions: definitions.clone(),
            inputs: inputs.clone(),
            pulse: pulse.clone(),
            is_held: false,
            ramps: HashMap::new(),
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let interval = Duration::from_millis(self.config.release_interval_ms.max(1));
        loop {
            let may_sleep = self.ramps.is_empty() && !self.is_held;
            let pause = self.pulse.pause(interval, (!may_sleep).then_some(interval));
            if shutdown.run_until_cancelled(pause).await.is_none() {
                return;
            }
            match self.look().await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "what is held waits for the database");
                    tokio::time::sleep(Duration::from_millis(self.config.database_retry_ms)).await;
                }
            }
        }
    }

    /// Lets go whoever may; false when the next commit is closed.
    async fn look(&mut self) -> Result<bool, Error> {
        self.is_held = self.store.is_any_held().await?;
        let participants = if self.is_held { self.definitions.participants() } else { Vec::new() };
        let held = if self.is_held { self.store.outages(&participants).await? } else { Vec::new() };
        self.ramps.retain(|by, _| held.contains(by));
        if held.is_empty() {
            return Ok(true);
        }
        let conditions = self.conditions.now().await;
        for by in held {
            if conditions.allow(by.as_ref()) {
                if !self.let_go(by, &conditions).await? {
                    return Ok(false);
                }
            } else if let Some(ramp) = self.ramps.get_mut(&by) {
                // Behind for a moment, it works off what it was just sent.
                ramp.refused += 1;
                if ramp.refused >= REFUSED_MAX {
                    self.ramps.remove(&by);
                }
            }
        }
        Ok(true)
    }

    async fn let_go(&mut self, by: Option<Token>, conditions: &Arc<Conditions>) -> Result<bool, Error> {
        let LoopsConfig { release_count_initial, release_count_max, claim_lease_ms, .. } = self.config;
        let count = self.ramps.get(&by).map_or(release_count_initial, |ramp| ramp.count);
        let count = count.clamp(1, release_count_max.max(1));
        let outage = by.as_ref().map_or(Outage::Broker, Outage::Participant);
        let claimed = self.store.claim_held(outage, count, claim_lease_ms).await?;
        for row in &claimed.unreadable {
            tracing::error!(saga = %row.id, why = row.why, "a held saga cannot be read");
        }
        counter!("amends_sagas_released_total").increment(claimed.sagas.len() as u64);
        for saga in claimed.sagas {
            let (id, conditions) = (saga.id, Arc::clone(conditions));
            let due =
                Due { conditions, claimed: Some(Box::new(saga)), slots: BTreeSet::new(), released: true };
            if self.inputs.send(Work::new(id, Task::Timer(due))).await.is_err() {
                return Ok(false);
            }
        }
        self.ramps.insert(by, Ramp { count: count.saturating_mul(2), refused: 0 });
        Ok(true)
    }
}
