//! Finds the sagas whose time has come and hands them to the next commit.
//!
//! Invariant: a claim is a lease, outside the saga's version and journal: whoever dies with it only delays. And
//! no more are claimed than are soon handled, however many are due: the others wait in the database, and replies
//! find room beside them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_contract::Digest;
use amends_store::Store;
use metrics::counter;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::conditions::Watch;
use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::pulse::Pulse;
use super::work::{Due, Task, Work};

/// The loop's parts.
pub(crate) struct Timers {
    config: LoopsConfig,
    store: Store,
    conditions: Watch,
    definitions: Definitions,
    inputs: mpsc::Sender<Work>,
    pulse: Pulse,
}

impl Timers {
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
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let interval = Duration::from_millis(self.config.timer_interval_ms);
        let mut due_in = None;
        while shutdown.run_until_cancelled(self.pulse.pause(interval, due_in)).await.is_some() {
            let pause = Duration::from_millis(self.config.definition_interval_ms);
            self.definitions.learn_the_unknown(&self.store, pause).await;
            due_in = self.due_in().await;
            if due_in == Some(Duration::ZERO) {
                while let Some(full) = self.claim().await {
                    if !full || shutdown.is_cancelled() {
                        break;
                    }
                }
            }
        }
    }

    /// When the next saga is due; zero while that is not known. `None`: none is, until something happens.
    async fn due_in(&self) -> Option<Duration> {
        match self.store.due_in_ms().await {
            Ok(ms) => ms.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default())),
            // Whoever claims tells it, and waits.
            Err(_) => Some(Duration::ZERO),
        }
    }

    /// Claims what is due; `Some(true)` when there may be more, `None` when there is nothing or nobody.
    async fn claim(&mut self) -> Option<bool> {
        let LoopsConfig { timer_count_max, claim_lease_ms, .. } = self.config;
        // Half of the queue is for replies: they finish what the timers would only ask for once more.
        if self.inputs.capacity() < self.inputs.max_capacity().div_ceil(2) {
            return Some(false);
        }
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
        self.pulse.beat();
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use amends_broker::Broker;
    use amends_contract::SagaId;
    use amends_engine::Begin;
    use amends_store::{Access, Config, Write};
    use serde_json::json;
    use uuid::Uuid;

    use super::super::participant_pauses::ParticipantPauses;
    use super::*;

    const SOURCE: &str = "saga: due\nversion: 1\nsteps:\n  - { name: a, kind: pivot, call: b.c }\n";

    /// So many sagas whose time has come.
    async fn due(store: &Store, definitions: &Definitions, count: usize) {
        let definition = definitions.latest("due").unwrap().definition;
        let writes = (0..count).map(|_| {
            let id = SagaId::new(Uuid::now_v7()).unwrap();
            let long_ago = amends_contract::Timestamp::from_unix_ms(1);
            let begin = Begin::from(json!({}));
            let transition = amends_engine::start(id, &definition, begin, long_ago).unwrap();
            let (saga, entry) = (transition.saga, transition.entry);
            Write { saga, expected_version: 0, entry, events: Vec::new(), idempotency: None }
        });
        store.commit(&writes.collect::<Vec<_>>()).await.unwrap();
    }

    #[tokio::test]
    async fn however_many_are_due_no_more_are_claimed_than_there_is_room_for() {
        const COUNT: usize = 500;
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("due.v1.yaml"), SOURCE).unwrap();
        let url = format!("sqlite://{}", path("a.db").display());
        let store = Store::connect(&Config { url, ..Config::default() }, Access::Exclusive).await.unwrap();
        store.migrate().await.unwrap();
        let definitions =
            Definitions::load(Path::new(folder.path()), &store, u64::from(u32::MAX)).await.unwrap();
        due(&store, &definitions, COUNT).await;
        let config = LoopsConfig { timer_count_max: 10, inputs_max: 64, ..LoopsConfig::default() };
        // Nobody is there: what the timers think of the world does not matter here.
        let nobody = serde_json::from_value(json!({ "url": "nats://127.0.0.1:1" })).unwrap();
        let broker = Broker::connect(&nobody, "orchestrator").await.unwrap();
        let conditions = Watch::new(&broker, &definitions, &ParticipantPauses::default(), &config);
        let (inputs, mut queue) = mpsc::channel(config.inputs_max);
        let pulse = Pulse::new(config.idle_interval_ms);
        let mut timers = Timers::new(&config, &store, &definitions, conditions, &inputs, &pulse);

        let mut taken = std::collections::HashSet::new();
        while taken.len() < COUNT {
            while timers.claim().await == Some(true) {}
            let waiting = queue.len();
            assert!((1..=64 / 2 + 10).contains(&waiting), "{waiting}");
            while let Ok(work) = queue.try_recv() {
                assert!(taken.insert(work.saga), "claimed twice");
            }
        }
        assert_eq!(timers.claim().await, None);
    }
}
