//! The running engine: queues, loops, and the handle by which HTTP reaches them.
//!
//! Replies, timers, starts and operators' actions all become [`work::Work`] for one loop
//! ([`batch`]) that decides and commits them in batches; the others only bring and take.
//!
//! Invariant: what was answered or acknowledged is committed; what is committed and not sent is sent by a
//! timer.

mod admission;
mod archive;
mod batch;
mod calls;
mod changed;
mod children;
mod conditions;
mod config;
mod dead_letters;
mod decide;
mod definitions;
mod ending;
mod events;
mod messages;
mod participant_pauses;
mod participants;
mod pauses;
mod places;
mod publish;
mod pulse;
mod recent;
mod redrive;
mod releases;
mod repeats;
mod replies;
mod retention;
mod schemas;
mod settled;
mod starts;
#[cfg(test)]
mod tests;
mod timers;
mod work;

use std::sync::Arc;
use std::time::Duration;

use amends_broker::Broker;
use amends_contract::{DefinitionRef, Names, SagaId, Stream, Token};
use amends_definition::Definition;
use amends_engine::{Begin, Input, OperatorAction, Saga};
use amends_store::{IdempotencyKey, Store};
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use admission::{Overload, OverloadReason};
pub use calls::{UnknownCall, unknown_calls};
pub use changed::Changed;
pub use config::LoopsConfig;
pub use definitions::{
    Definitions, LoadError, Loaded, UnknownDefinition, compile_file, compile_stored, definition_files,
    latest_start, load_file,
};
pub use messages::{MessagesError, SagaMessage, SagaMessages, outcome_of};
pub use participant_pauses::{ParticipantError, ParticipantPauses, ParticipantSaid, PauseEnd};
pub use participants::ParticipantState;
pub use pauses::{PauseList, ResumeError};
pub use redrive::RedriveError;
pub use retention::RetentionConfig;
#[cfg(test)]
pub(crate) use retention::{Memory, Retention};
#[cfg(test)]
pub(crate) use schemas::checked;

pub(crate) use settled::Watch;
use work::{StartTask, Task, Work};

/// The running engine. Cheap to clone.
#[derive(Clone)]
pub struct Core {
    store: Store,
    broker: Broker,
    definitions: Definitions,
    pauses: PauseList,
    /// Of participants.
    halts: ParticipantPauses,
    starts: mpsc::Sender<Work>,
    admission: admission::Admission,
    pulse: pulse::Pulse,
    repeats: repeats::Repeats,
    settled: settled::Settled,
}

/// A saga to be started.
#[derive(Debug)]
pub struct Start {
    /// Its identity, made by the caller, in time order.
    pub id: SagaId,
    /// Its definition.
    pub definition: Arc<Definition>,
    /// With what it begins; the input is valid under the definition's schema.
    pub begin: Begin,
    /// The caller's key, so that asking twice starts once.
    pub idempotency: Option<IdempotencyKey>,
}

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// It is committed and will settle.
    Started(Arc<Saga>),
    /// The caller's key has been used before; nothing was started.
    DuplicateKey,
}

/// Why nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoreError {
    /// There is as much to do as may be.
    #[error(transparent)]
    Overloaded(Overload),
    /// The database does not answer, or the process is shutting down. Asking again under the same
    /// idempotency key is safe.
    #[error("the database is not available at the moment; try again shortly")]
    Unavailable,
    /// The definition cannot take this input.
    #[error("{0}")]
    Engine(String),
}

/// Why an operator's action had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperateError {
    /// There is no such saga.
    #[error("there is no such saga")]
    NotFound,
    /// The saga is in no state for it.
    #[error("{why}")]
    Refused {
        /// The reason.
        why: String,
        /// The actions that would be legal now.
        allowed: Vec<String>,
    },
    /// More actions wait than may wait.
    #[error("too many actions are waiting; try again shortly")]
    Overloaded,
    /// The database does not answer, or the process is shutting down.
    #[error("the database is not available at the moment; try again shortly")]
    Unavailable,
    /// This process does not know the definition that the saga is pinned to; another one may.
    #[error(
        "the definition {0} is not known to this orchestrator; the saga waits, untouched, for one that knows it"
    )]
    UnknownDefinition(DefinitionRef),
    /// The saga cannot be handled at all.
    #[error("{0}")]
    Failed(String),
}

impl Core {
    /// Starts the loops. They stop when `shutdown` is cancelled; await the [`Loops`] to know that they
    /// have drained.
    #[must_use]
    pub fn spawn(
        store: Store,
        definitions: Definitions,
        broker: &Broker,
        config: &LoopsConfig,
        shutdown: &CancellationToken,
    ) -> (Self, Loops) {
        let (starts, starts_queue) = mpsc::channel(config.submissions_max + config.actions_max);
        let (inputs, inputs_queue) = mpsc::channel(config.inputs_max);
        let (publications, publications_queue) = mpsc::channel(config.publishing_max);
        let admission = admission::Admission::new(config);
        let pulse = pulse::Pulse::new(config.idle_interval_ms);
        let settled = settled::Settled::new(&admission, config, store.is_shared());
        let events = events::Written::default();
        let dead_letters = dead_letters::DeadLetters::of(broker, Stream::Reply);
        let (children, child_loop) = children::Children::new(&store, &definitions, &inputs, config);
        let (wanted, batch_count_max) = (Arc::new(Notify::new()), config.batch_count_max);
        let batches = batch::Batches {
            config: config.clone(),
            store: store.clone(),
            definitions: definitions.clone(),
            settled: settled.clone(),
            recent: recent::Recent::new(config.recent_bytes_max),
            dead_letters: dead_letters.clone(),
            publications,
            children: children.clone(),
            events: events.clone(),
            places: Arc::clone(&wanted),
        };
        let halts = ParticipantPauses::default();
        let watch = || conditions::Watch::new(broker, &definitions, &halts, config);
        let timers = timers::Timers::new(config, &store, &definitions, watch(), &inputs, &pulse);
        let places = places::PlaceGiver::new(config, &store, &definitions, watch(), &inputs, &wanted);
        let releases = releases::Releases::new(config, &store, &definitions, watch(), &inputs, &pulse);
        let outbox = events::Events::new(config, &store, broker, events);
        let mut tasks = JoinSet::new();
        tasks.spawn(batches.run(inputs_queue, starts_queue));
        let (publisher, names) = (broker.publisher(), broker.names().clone());
        tasks.spawn(publish::run(publications_queue, publisher, names, children, config.publishing_max));
        tasks.spawn(child_loop.run(shutdown.clone()));
        tasks.spawn(timers.run(shutdown.clone()));
        tasks.spawn(places.run(shutdown.clone()));
        tasks.spawn(releases.run(shutdown.clone()));
        let (load, beats) = (admission.clone(), pulse.clone());
        let replies =
            replies::Replies { broker: broker.clone(), dead_letters, inputs, batch_count_max, load, beats };
        tasks.spawn(replies.run(shutdown.clone()));
        tasks.spawn(admission::Look::new(&admission, broker, &definitions, config).run(shutdown.clone()));
        tasks.spawn(settled.clone().look(store.clone(), shutdown.clone()));
        let (repeats, repeats_loop) = repeats::new(&store, config.submissions_max);
        tasks.spawn(repeats_loop);
        let copy = dead_letters::copy(broker.clone(), store.clone(), batch_count_max, shutdown.clone());
        tasks.spawn(copy);
        tasks.spawn(outbox.run(shutdown.clone()));
        let pauser = participant_pauses::ParticipantPauser::new(&halts, &store, broker, config);
        tasks.spawn(pauser.run(shutdown.clone()));
        let (pauses, broker) = (PauseList::default(), broker.clone());
        let core =
            Self { store, broker, definitions, pauses, halts, starts, admission, pulse, repeats, settled };
        tasks.spawn(pauses::Pauses::new(core.clone(), config.pause_interval_ms).run(shutdown.clone()));
        let by_event = starts::Starts { core: core.clone(), broker: core.broker.clone(), batch_count_max };
        tasks.spawn(by_event.run(shutdown.clone()));
        (core, Loops { tasks })
    }

    /// The saga's database.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Subjects and streams under the configured prefix.
    #[must_use]
    pub fn names(&self) -> &Names {
        self.broker.names()
    }

    /// The definitions this process knows.
    #[must_use]
    pub const fn definitions(&self) -> &Definitions {
        &self.definitions
    }

    /// Starts a saga; returns when it is committed. Whether the broker is up does not matter.
    ///
    /// # Errors
    /// [`CoreError`] when nothing was started.
    pub async fn start(&self, start: Start) -> Result<Started, CoreError> {
        let admitted = self.admission.enter().map_err(CoreError::Overloaded)?;
        let Start { id, definition, begin, idempotency } = start;
        let (answer, answered) = oneshot::channel();
        let task = Task::Start(Box::new(StartTask { definition, begin, idempotency, answer }));
        self.submit(Work::new(id, task))?;
        let started = answered.await.unwrap_or(Err(CoreError::Unavailable))?;
        if matches!(started, Started::Started(_)) {
            admitted.started();
        }
        Ok(started)
    }

    /// Whether a saga was started under this key: whoever asks again is owed the first answer, whatever is refused
    /// by now.
    ///
    /// # Errors
    /// When the database does not answer, or too many ask.
    pub async fn is_started(&self, owner: Uuid, key: &str) -> Result<bool, CoreError> {
        self.repeats.is_started(owner, key).await
    }

    /// Puts an operator's action to a saga; returns its state after the commit.
    ///
    /// # Errors
    /// [`OperateError`] says why it had no effect and what would be legal instead.
    pub async fn operate(
        &self,
        id: SagaId,
        action: OperatorAction,
        actor: String,
        reason: String,
    ) -> Result<Saga, OperateError> {
        self.tell(id, Input::Operator { action, actor, reason }).await
    }

    /// Brings a signal to a saga; returns its state after the commit. The same signal again changes nothing.
    ///
    /// # Errors
    /// [`OperateError::Refused`] when nobody awaits it (any more), or it has come with other data.
    pub async fn signal(
        &self,
        id: SagaId,
        name: Token,
        data: Value,
        actor: String,
    ) -> Result<Saga, OperateError> {
        self.tell(id, Input::Signal { name, data: data.into(), actor }).await
    }

    async fn tell(&self, id: SagaId, input: Input) -> Result<Saga, OperateError> {
        let (answer, answered) = oneshot::channel();
        let task = Task::Operate { input: Box::new(input), answer };
        self.submit(Work::new(id, task)).map_err(|error| match error {
            CoreError::Overloaded(_) => OperateError::Overloaded,
            CoreError::Unavailable | CoreError::Engine(_) => OperateError::Unavailable,
        })?;
        answered.await.unwrap_or(Err(OperateError::Unavailable))
    }

    /// Waits at most `within` for the saga to end; `None` when it has not, or there is none.
    pub async fn settled(&self, id: SagaId, within: Duration) -> Option<Saga> {
        let watch = self.settled.watch(id);
        let saga = self.store.load(&[id]).await.ok().and_then(|loaded| loaded.sagas.into_iter().next());
        match saga.filter(|saga| saga.status().is_terminal()) {
            Some(saga) => Some(saga),
            None => watch.end(within).await.map(Arc::unwrap_or_clone),
        }
    }

    /// Begins to wait for the end of a saga that is not started yet.
    pub(crate) fn watch(&self, id: SagaId) -> Watch {
        self.settled.watch(id)
    }

    fn submit(&self, work: Work) -> Result<(), CoreError> {
        self.pulse.beat();
        self.starts.try_send(work).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CoreError::Overloaded(self.admission.queue_is_full()),
            mpsc::error::TrySendError::Closed(_) => CoreError::Unavailable,
        })
    }
}

/// The loops of a [`Core`].
#[derive(Debug)]
pub struct Loops {
    tasks: JoinSet<()>,
}

impl Loops {
    /// Waits until all have drained. Drop every [`Core`] first: as long as somebody may submit, the loop
    /// that commits goes on.
    pub async fn drained(mut self) {
        while let Some(result) = self.tasks.join_next().await {
            if let Err(error) = result {
                tracing::error!(%error, "a loop ended badly");
            }
        }
    }

    /// Waits until one loop ends; while nobody has asked for shutdown, that is a bug worth dying for.
    pub async fn failed(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a loop ended badly");
        }
    }
}
