//! Deletes sagas whose time is over, each as long after its end as its definition says, and archives them first
//! where that is wanted.
//!
//! Few at a time, and with pauses that grow with the time the database takes: whoever runs comes first.
//!
//! Invariant: nothing goes that has not ended, that somebody's child or parent still needs, or that is not in
//! the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amends_contract::{Direction, EffectId, ORCHESTRATOR, SagaId, Timestamp, Token};
use amends_crash as crash;
use amends_definition::Definition;
use amends_engine::{JournalEntry, Saga};
use amends_store::{EndedSaga, Store, Taken};
use metrics::{counter, gauge};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::archive::{Archive, Archived};
use super::{Core, Definitions, Loops};

/// Ended sagas listed at a time: some kilobytes.
const LISTED_COUNT: u32 = 500;

/// Journal entries read at a time.
const ENTRIES_COUNT: u32 = 500;

/// Rows that a saga has beside its journal: itself, a label, a key, what is left of it.
const ROWS_BESIDE: u64 = 4;

/// Limits of the deletion. Section `orchestrator.retention` of the configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// Seconds between two looks for sagas whose time is over. A look that finds none costs an indexed query a
    /// definition; a minute is nothing to what is kept for days.
    pub interval_s: u64,
    /// Most rows deleted in one transaction, journal entries counted (one saga is deleted even if it has more). A
    /// thousand take some milliseconds: no longer than a commit waits for the one before it.
    pub rows_max: u64,
    /// Shortest pause between two such transactions, in milliseconds, so that a commit always gets in between.
    pub pause_ms: u64,
    /// How much of the time deletion may take, in percent. A busy database takes longer for the same rows, so the
    /// pauses grow with the load; a fifth leaves most of the time to the commits.
    pub share_percent: u32,
    /// A folder into which sagas are written before they are deleted; without it they are not. It is made if it is
    /// missing.
    pub archive: Option<std::path::PathBuf>,
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { interval_s: 60, rows_max: 1_000, pause_ms: 10, share_percent: 20, archive: None }
    }
}

/// How long others remember, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    /// Participants, a saga's effects; whoever audits holds them against what was deleted.
    pub(crate) participants_ms: u64,
    /// The broker, an event. Somebody may read it again, and must find the key of the saga that it has started.
    pub(crate) events_ms: u64,
}

/// The loop's parts.
pub(crate) struct Retention {
    config: RetentionConfig,
    memory: Memory,
    store: Store,
    definitions: Definitions,
    archive: Option<Archive>,
}

/// Why a look broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RetentionError {
    #[error(transparent)]
    Store(#[from] amends_store::Error),
    #[error(
        "the archive cannot be written, and nothing is deleted until it can: {0}; make room or mend \
             `orchestrator.retention.archive`"
    )]
    Archive(#[from] std::io::Error),
}

impl Loops {
    /// Deletes sagas whose time is over, until `shutdown`. Participants remember a saga for `horizon_s` seconds, the
    /// broker an event for `events_s`.
    pub fn retain(
        &mut self,
        core: &Core,
        config: &RetentionConfig,
        (horizon_s, events_s): (u64, u64),
        shutdown: &CancellationToken,
    ) {
        let memory = Memory::new(horizon_s, events_s);
        let retention = Retention::new(config, memory, core.store(), core.definitions());
        self.tasks.spawn(retention.run(shutdown.clone()));
    }
}

impl Memory {
    /// A day more for events: so long are published ones kept, to be published again to a broker that lost them. And
    /// three for participants: so much longer than the horizon do they keep what they did.
    pub(crate) const fn new(horizon_s: u64, events_s: u64) -> Self {
        const DAY_S: u64 = 24 * 3600;
        Self {
            participants_ms: horizon_s.saturating_add(3 * DAY_S).saturating_mul(1_000),
            events_ms: events_s.saturating_add(DAY_S).saturating_mul(1_000),
        }
    }
}

impl Retention {
    pub(crate) fn new(
        config: &RetentionConfig,
        memory: Memory,
        store: &Store,
        definitions: &Definitions,
    ) -> Self {
        let archive = config.archive.as_deref().map(Archive::new);
        let (store, definitions) = (store.clone(), definitions.clone());
        Self { config: config.clone(), memory, store, definitions, archive }
    }

    /// Runs until shutdown.
    async fn run(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(self.config.interval_s.max(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let looked = match self.store.now().await {
                Ok(now) => self.look(now, &shutdown).await,
                Err(error) => Err(error.into()),
            };
            if let Err(error) = looked {
                counter!("amends_retention_failures_total").increment(1);
                tracing::warn!(%error, "sagas whose time is over could not be deleted");
            }
        }
    }

    /// Deletes all whose time is over `now`; returns how many there were.
    pub(crate) async fn look(
        &self,
        now: Timestamp,
        shutdown: &CancellationToken,
    ) -> Result<usize, RetentionError> {
        let (mut deleted, mut overdue_ms) = (0, 0);
        for (name, versions) in self.versions() {
            let shortest_ms = versions.values().map(|definition| self.kept_ms(definition)).min();
            let made_before = now.minus_ms(shortest_ms.unwrap_or(u64::MAX));
            let mut after = None;
            loop {
                let listed = self.store.ended_sagas(&name, made_before, after, LISTED_COUNT).await?;
                let Some(last) = listed.last() else { break };
                after = Some(last.id);
                let over: Vec<(EndedSaga, u64)> = listed
                    .iter()
                    .filter_map(|saga| Some((*saga, self.overdue_ms(saga, &versions, now)?)))
                    .collect();
                overdue_ms = over.iter().map(|(_, overdue_ms)| *overdue_ms).fold(overdue_ms, u64::max);
                #[expect(clippy::cast_precision_loss, reason = "some seconds more or less are nothing here")]
                gauge!("amends_retention_overdue_seconds").set(overdue_ms as f64 / 1_000.0);
                let over: Vec<EndedSaga> = over.into_iter().map(|(saga, _)| saga).collect();
                for batch in self.batches(&over) {
                    if shutdown.is_cancelled() {
                        return Ok(deleted);
                    }
                    let begun = Instant::now();
                    deleted += self.delete(batch, &versions).await?;
                    self.rest(begun.elapsed()).await;
                }
            }
        }
        gauge!("amends_retention_overdue_seconds").set(0.0);
        self.forget().await?;
        Ok(deleted)
    }

    /// The definitions by name and version. Sagas of those that nobody here knows are kept: nobody here knows for
    /// how long.
    fn versions(&self) -> BTreeMap<Token, BTreeMap<u32, Arc<Definition>>> {
        let mut versions: BTreeMap<Token, BTreeMap<u32, Arc<Definition>>> = BTreeMap::new();
        for definition in self.definitions.all().into_iter().map(|loaded| loaded.definition) {
            versions.entry(definition.name.clone()).or_default().insert(definition.version, definition);
        }
        versions
    }

    /// For how long a saga is kept after its last input.
    fn kept_ms(&self, definition: &Definition) -> u64 {
        let events_ms = if definition.starts_on.is_some() { self.memory.events_ms } else { 0 };
        definition.retention_ms.max(events_ms)
    }

    /// For how long the saga's time has been over; `None` while it is not.
    fn overdue_ms(
        &self,
        saga: &EndedSaga,
        versions: &BTreeMap<u32, Arc<Definition>>,
        now: Timestamp,
    ) -> Option<u64> {
        let definition = versions.get(&saga.definition_version)?;
        now.ms_since(saga.updated_at).checked_sub(self.kept_ms(definition))
    }

    /// Parts of about as many rows as one transaction may delete.
    fn batches<'a>(&self, sagas: &'a [EndedSaga]) -> Vec<&'a [EndedSaga]> {
        let mut batches = Vec::new();
        let (mut begin, mut rows) = (0, 0);
        for (place, saga) in sagas.iter().enumerate() {
            let of_saga = saga.version.saturating_add(ROWS_BESIDE);
            if place > begin && rows + of_saga > self.config.rows_max {
                batches.push(&sagas[begin..place]);
                (begin, rows) = (place, 0);
            }
            rows += of_saga;
        }
        if begin < sagas.len() {
            batches.push(&sagas[begin..]);
        }
        batches
    }

    async fn delete(
        &self,
        batch: &[EndedSaga],
        versions: &BTreeMap<u32, Arc<Definition>>,
    ) -> Result<usize, RetentionError> {
        let taken = self.store.take_ended(batch).await?;
        for row in taken.unreadable() {
            tracing::warn!(saga = %row.id, why = row.why, "a saga whose time is over cannot be read; it is kept");
        }
        let prepared = self.prepare(&taken, versions).await;
        let (which, error) = match prepared {
            Ok(which) => (which, None),
            Err(error) => (BTreeSet::new(), Some(error)),
        };
        let now = self.store.now().await?;
        // Even if nothing is to go, what was taken has to be given back.
        let deleted = taken.delete(&which, now.minus_ms(self.memory.participants_ms)).await?;
        counter!("amends_sagas_deleted_total").increment(deleted as u64);
        error.map_or(Ok(deleted), Err)
    }

    /// Those whom nobody needs any more, archived if need be.
    async fn prepare(
        &self,
        taken: &Taken,
        versions: &BTreeMap<u32, Arc<Definition>>,
    ) -> Result<BTreeSet<SagaId>, RetentionError> {
        let relatives: Vec<(&Saga, BTreeSet<SagaId>)> = taken
            .sagas()
            .iter()
            .filter_map(|saga| Some((saga, relatives(saga, versions.get(&saga.definition.version)?))))
            .collect();
        let all = relatives.iter().flat_map(|(_, relatives)| relatives.iter().copied()).collect();
        let open = self.store.open_among(&all).await?;
        let free = relatives.into_iter().filter(|(_, relatives)| relatives.is_disjoint(&open));
        let mut free: Vec<&Saga> = free.map(|(saga, _)| saga).collect();
        if let Some(archive) = &self.archive {
            free = self.archive(archive, free).await?;
            crash::point(crash::AFTER_ARCHIVE);
        }
        Ok(free.into_iter().map(|saga| saga.id).collect())
    }

    /// Archives the sagas; returns those that are on the disk.
    async fn archive<'a>(
        &self,
        archive: &Archive,
        sagas: Vec<&'a Saga>,
    ) -> Result<Vec<&'a Saga>, RetentionError> {
        let archived_at = self.store.now().await?;
        let mut lines = Vec::new();
        for saga in sagas {
            match self.journal(saga).await? {
                Some(journal) => lines.push(Archived { archived_at, saga, journal }),
                None => tracing::warn!(saga = %saga.id, "its journal cannot be read as a whole; it is kept"),
            }
        }
        if !lines.is_empty() {
            archive.append(archived_at, &lines).await?;
        }
        counter!("amends_sagas_archived_total").increment(lines.len() as u64);
        Ok(lines.into_iter().map(|line| line.saga).collect())
    }

    /// The saga's whole journal; `None` when that is not to be had.
    async fn journal(&self, saga: &Saga) -> Result<Option<Vec<JournalEntry>>, RetentionError> {
        let mut journal: Vec<JournalEntry> = Vec::new();
        loop {
            let rows = self.store.journal(saga.id, journal.len() as u64, ENTRIES_COUNT).await?;
            let Ok(entries) = rows.into_iter().map(|row| row.entry).collect::<Result<Vec<_>, _>>() else {
                return Ok(None);
            };
            if entries.is_empty() {
                return Ok((journal.len() as u64 == saga.version).then_some(journal));
            }
            journal.extend(entries);
        }
    }

    async fn rest(&self, took: Duration) {
        let share = self.config.share_percent.clamp(1, 100);
        let pause = took * (100 - share) / share;
        tokio::time::sleep(pause.max(Duration::from_millis(self.config.pause_ms))).await;
    }

    /// Forgets deleted sagas that participants do not remember any more.
    async fn forget(&self) -> Result<(), RetentionError> {
        let made_before = self.store.now().await?.minus_ms(self.memory.participants_ms);
        let limit = u32::try_from(self.config.rows_max.max(1)).unwrap_or(u32::MAX);
        loop {
            let begun = Instant::now();
            if self.store.forget_deleted(made_before, limit).await? < u64::from(limit) {
                return Ok(());
            }
            self.rest(begun.elapsed()).await;
        }
    }
}

/// The saga of which it is a step, and those that are its steps.
fn relatives(saga: &Saga, definition: &Definition) -> BTreeSet<SagaId> {
    let mut relatives: BTreeSet<SagaId> = saga.parent.iter().map(|parent| parent.saga).collect();
    for step in &saga.steps {
        let Some(defined) = definition.step(step.name.as_str()) else { continue };
        let asked = [(Direction::Forward, defined.address()), (Direction::Backward, defined.undo_address())];
        for (direction, address) in asked {
            let is_saga = address.is_some_and(|address| address.participant == *ORCHESTRATOR);
            let Some(decided) = step.effect(direction).filter(|_| is_saga) else { continue };
            let effect = EffectId { saga: saga.id, step: step.reference(), direction, epoch: decided.epoch };
            relatives.insert(SagaId::derived(&effect, decided.decided_at));
        }
    }
    relatives
}
