//! Pauses whole definitions, and lets them go on: feeds the operator's wish to every saga that it is about.
//!
//! The wish is a row; a loop in each process compares it with the sagas and tells those that do not know of
//! it. Whoever dies with it half done is finished by the next look, of this or another process.
//!
//! Invariant: a saga is told only what the row of its definition says now, in the name of whoever said it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use amends_contract::{DefinitionRef, SagaId, Timestamp, Token};
use amends_engine::{OperatorAction, PausedBy, Saga, Status};
use amends_store::{DefinitionPause, Error, Flag, SagaFilter, Store};
use futures::StreamExt;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::{Core, OperateError};

/// Most sagas that are looked up, and told, at once: one batch of the loop that commits.
const PAGE: u32 = 256;

/// How long sagas that are still paused are looked for after none was found: another process may have told
/// one to pause that had read the row just before it changed.
const AFTERGLOW: Duration = Duration::from_secs(600);

/// What operators last said about definitions, as far as this process has heard. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PauseList(Arc<RwLock<Vec<DefinitionPause>>>);

impl PauseList {
    /// The pause that keeps sagas of this definition from going on, if there is one.
    #[must_use]
    pub fn of(&self, definition: &DefinitionRef) -> Option<DefinitionPause> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|pause| pause.paused && pause.covers(definition)).cloned()
    }

    fn all(&self) -> Vec<DefinitionPause> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn refresh(&self, store: &Store) -> Result<(), Error> {
        let pauses = store.definition_pauses().await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pauses;
        Ok(())
    }
}

/// Why a definition does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ResumeError {
    /// Nothing of that name is paused.
    #[error("it is not paused")]
    NotPaused,
    /// The whole name is paused, and one version was to go on.
    #[error("all versions of {0} are paused together: resume {0}")]
    Whole(Token),
    /// The database says no.
    #[error(transparent)]
    Store(#[from] Error),
}

impl Core {
    /// What operators said about definitions.
    #[must_use]
    pub const fn pauses(&self) -> &PauseList {
        &self.pauses
    }

    /// Pauses a definition: none of its sagas begins any more, and all that are open are told to pause.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pause_definition(
        &self,
        (name, version): (&Token, Option<u32>),
        actor: &str,
        reason: &str,
    ) -> Result<Option<DefinitionPause>, Error> {
        self.store.say_definition_pause((name, version), true, actor, reason).await?;
        self.said((name, version)).await
    }

    /// Lets a definition go on; all versions of it, those that were paused by themselves included, when only
    /// its name is given.
    ///
    /// # Errors
    /// [`ResumeError`] when it is not paused, or not by itself; when the database does not answer.
    pub async fn resume_definition(
        &self,
        (name, version): (&Token, Option<u32>),
        actor: &str,
        reason: &str,
    ) -> Result<Option<DefinitionPause>, ResumeError> {
        let pauses = self.store.definition_pauses().await?;
        let paused: Vec<_> = pauses.into_iter().filter(|pause| pause.paused && pause.name == *name).collect();
        if version.is_some() && paused.iter().any(|pause| pause.version.is_none()) {
            return Err(ResumeError::Whole(name.clone()));
        }
        let meant = paused.iter().filter(|pause| version.is_none() || pause.version == version);
        let mut last = None;
        for pause in meant {
            let what = (name, pause.version);
            self.store.say_definition_pause(what, false, actor, reason).await?;
            last = self.said(what).await?;
        }
        last.ok_or(ResumeError::NotPaused).map(Some)
    }

    /// What holds now, by the database, for this process, too.
    async fn said(&self, what: (&Token, Option<u32>)) -> Result<Option<DefinitionPause>, Error> {
        self.pauses.refresh(&self.store).await?;
        Ok(self.pauses.all().into_iter().find(|pause| (&pause.name, pause.version) == what))
    }
}

/// The loop's parts.
pub(crate) struct Pauses {
    core: Core,
    interval: Duration,
    /// Pauses of which those sagas have been told that an operator had paused already.
    told: HashSet<Said>,
    /// Since when no saga was found any more that should go on.
    quiet: HashMap<Said, Instant>,
}

/// Which wish; another one about the same definition has another moment.
type Said = (Token, Option<u32>, Timestamp);

impl Pauses {
    pub(crate) fn new(core: Core, interval_ms: u64) -> Self {
        let interval = Duration::from_millis(interval_ms);
        Self { core, interval, told: HashSet::new(), quiet: HashMap::new() }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            if let Err(error) = self.look(&shutdown).await {
                tracing::warn!(%error, "paused definitions wait for the database");
            }
        }
    }

    async fn look(&mut self, shutdown: &CancellationToken) -> Result<(), Error> {
        self.core.pauses.refresh(&self.core.store).await?;
        let pauses = self.core.pauses.all();
        let known: HashSet<Said> = pauses.iter().map(said).collect();
        self.told.retain(|said| known.contains(said));
        self.quiet.retain(|said, _| known.contains(said));
        for pause in &pauses {
            if shutdown.is_cancelled() {
                break;
            }
            if pause.paused {
                self.pause(pause, shutdown).await?;
            } else {
                self.let_go(pause, shutdown).await?;
            }
        }
        Ok(())
    }

    async fn pause(&mut self, pause: &DefinitionPause, shutdown: &CancellationToken) -> Result<(), Error> {
        // Told once, they stay where they are when their operator resumes them.
        if !self.told.contains(&said(pause)) {
            let by_operator =
                |saga: &Saga| saga.paused.as_ref().is_some_and(|by| by.by == PausedBy::Operator);
            self.tell_paused(pause, by_operator, shutdown).await?;
            self.told.insert(said(pause));
        }
        for status in [Status::Running, Status::Compensating, Status::Parked] {
            let mut after = None;
            while !shutdown.is_cancelled() {
                let ids = self.core.store.sagas_to_pause(pause, status, after, PAGE).await?;
                after = ids.last().copied();
                if after.is_none() {
                    break;
                }
                self.tell(pause, ids).await;
            }
        }
        Ok(())
    }

    async fn let_go(&mut self, pause: &DefinitionPause, shutdown: &CancellationToken) -> Result<(), Error> {
        let quiet_since = self.quiet.get(&said(pause));
        if quiet_since.is_some_and(|since| since.elapsed() > AFTERGLOW) {
            return Ok(());
        }
        let pauses = self.core.pauses.clone();
        let to_go = |saga: &Saga| {
            let by_definition = saga.paused.as_ref().is_some_and(|by| by.by != PausedBy::Operator);
            by_definition && pauses.of(&saga.definition).is_none()
        };
        if self.tell_paused(pause, to_go, shutdown).await? == 0 {
            self.quiet.entry(said(pause)).or_insert_with(Instant::now);
        } else {
            self.quiet.remove(&said(pause));
        }
        Ok(())
    }

    /// Tells those paused sagas that are `meant`; how many there were.
    async fn tell_paused(
        &self,
        pause: &DefinitionPause,
        meant: impl Fn(&Saga) -> bool,
        shutdown: &CancellationToken,
    ) -> Result<usize, Error> {
        let filter = SagaFilter {
            flags: vec![Flag::Paused],
            definition: Some(pause.name.clone()),
            version: pause.version,
            ..SagaFilter::default()
        };
        let (mut count, mut cursor) = (0, None);
        while !shutdown.is_cancelled() {
            let page = self.core.store.sagas(&filter, cursor, PAGE).await?;
            let sagas = page.rows.into_iter().filter_map(|row| row.saga.ok());
            let ids: Vec<SagaId> = sagas.filter(|saga| meant(saga)).map(|saga| saga.id).collect();
            count += ids.len();
            self.tell(pause, ids).await;
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        Ok(count)
    }

    /// Puts the wish to these sagas, all at once, so that they share a commit.
    async fn tell(&self, pause: &DefinitionPause, ids: Vec<SagaId>) {
        let by = PausedBy::Definition;
        let action = if pause.paused { OperatorAction::Pause { by } } else { OperatorAction::Resume { by } };
        let told = ids
            .into_iter()
            .map(|id| self.core.operate(id, action.clone(), pause.actor.clone(), pause.reason.clone()));
        let mut told = futures::stream::iter(told).buffer_unordered(PAGE as usize);
        while let Some(result) = told.next().await {
            match result {
                // It has ended meanwhile, or another process was sooner.
                Ok(_) | Err(OperateError::NotFound | OperateError::Refused { .. }) => {}
                Err(error) => tracing::debug!(%error, "a saga hears of its definition's pause later"),
            }
        }
    }
}

fn said(pause: &DefinitionPause) -> Said {
    (pause.name.clone(), pause.version, pause.changed_at)
}
