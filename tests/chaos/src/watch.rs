//! Watches the sagas while the faults are made: how many are in flight, and whether anything moves.
//!
//! Invariant: it only reads, and an orchestrator that does not answer is no news about the sagas.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use amends_tests::{Client, System};
use serde_json::Value;

/// Nothing that has not moved for this long in calm weather moves by itself.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(30);
/// A process that stands still keeps its connections.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(400);

/// What has not ended.
pub(crate) type Open = BTreeMap<String, Saga>;

/// A saga that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saga {
    /// Its status, such as `parked`.
    pub(crate) status: String,
    /// What stands beside it, such as `held`.
    pub(crate) flags: Vec<String>,
    /// The length of its journal.
    pub(crate) version: u64,
}

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// What had not ended when somebody last knew.
    pub(crate) open: Open,
    /// How often somebody knew.
    pub(crate) looks: u64,
    moved_at: Instant,
    /// How often a saga was seen so: parked, and with each flag.
    pub(crate) states: BTreeMap<String, u64>,
}

/// The watch.
#[derive(Clone)]
pub(crate) struct Watch {
    client: Client,
    urls: Vec<String>,
    authorization: String,
    seen: Arc<Mutex<Seen>>,
}

impl Watch {
    /// Looks at any of these orchestrators.
    #[must_use]
    pub(crate) fn new(system: &System, orchestrators: &[&str]) -> Self {
        let list = "/v1/sagas?status=running,compensating,parked&limit=200";
        let seen = Seen { open: Open::new(), looks: 0, moved_at: Instant::now(), states: BTreeMap::new() };
        Self {
            client: system.client.clone(),
            urls: orchestrators.iter().map(|name| system.admin_of(name, list)).collect(),
            authorization: system.authorization(),
            seen: Arc::new(Mutex::new(seen)),
        }
    }

    /// Looks again and again, until it is aborted.
    pub(crate) async fn run(self) {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What was seen so far.
    #[must_use]
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().expect("nobody panics with it").clone()
    }

    /// How many were in flight when somebody last knew.
    #[must_use]
    pub(crate) fn in_flight(&self) -> usize {
        self.seen.lock().expect("nobody panics with it").open.len()
    }

    /// Looks; `None` when nobody answers.
    pub(crate) async fn look(&self) -> Option<Open> {
        for url in &self.urls {
            if let Some(open) = self.read(url).await {
                self.note(open.clone());
                return Some(open);
            }
        }
        None
    }

    async fn read(&self, url: &str) -> Option<Open> {
        let (mut open, mut page) = (Open::new(), url.to_owned());
        loop {
            let headers = [("authorization", self.authorization.as_str())];
            let sending = self.client.send("GET", &page, &headers, None);
            let answer = tokio::time::timeout(PATIENCE, sending).await.ok()?.ok()?;
            let sagas = answer.body["sagas"].as_array().filter(|_| answer.status == 200)?;
            open.extend(sagas.iter().filter_map(saga));
            match answer.body["next_cursor"].as_str() {
                None => return Some(open),
                Some(cursor) => page = format!("{url}&cursor={cursor}"),
            }
        }
    }

    fn note(&self, open: Open) {
        let mut seen = self.seen.lock().expect("nobody panics with it");
        if open != seen.open {
            seen.moved_at = Instant::now();
        }
        for saga in open.values() {
            let parked = (saga.status == "parked").then(|| saga.status.clone());
            for state in saga.flags.iter().cloned().chain(parked) {
                *seen.states.entry(state).or_default() += 1;
            }
        }
        seen.looks += 1;
        seen.open = open;
    }

    /// A fault is active: what stands still now need not move.
    pub(crate) fn excuse(&self) {
        self.seen.lock().expect("nobody panics with it").moved_at = Instant::now();
    }

    /// Whether sagas are open and none has moved for so long that none will.
    #[must_use]
    pub(crate) fn is_stuck(&self) -> bool {
        let seen = self.seen.lock().expect("nobody panics with it");
        !seen.open.is_empty() && seen.moved_at.elapsed() > STUCK_AFTER
    }
}

fn saga(row: &Value) -> Option<(String, Saga)> {
    let flags = row["flags"].as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let saga = Saga { status: row["status"].as_str()?.to_owned(), flags, version: row["version"].as_u64()? };
    Some((row["id"].as_str()?.to_owned(), saga))
}
