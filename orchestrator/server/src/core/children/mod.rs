//! Steps that are sagas: the orchestrator as a participant of its own.
//!
//! Commands to the participant `orchestrator` do not go over the broker. They are handed to this loop after
//! the commit that decided them, and answered by a reply that goes into the next commit. The id of a child
//! follows from the effect, so whatever a crash loses here the parent's timer asks for again.
//!
//! Invariant: nothing is kept here that matters. The children's rows are the inbox.

mod answer;
mod decide;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use amends_contract::{Command, Outcome, SagaId, Timestamp};
use amends_engine::{Begin, Input, OperatorAction, Saga};
use amends_store::Store;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use metrics::counter;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::answer::Answer;
use self::decide::{Act, Asked, Whose};
use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::work::{StartTask, Task, Work};
use super::{CoreError, OperateError, Started};

/// Sagas that may stand above one another. No business process nests as deep; sagas that call each other
/// in a ring get here in no time.
const DEPTH_MAX: usize = 8;
/// Undos that wait for the end of their action, to be told at once; the timers tell the others.
const WAITING_MAX: usize = 4_096;
/// How often one command is decided anew because another process was faster.
const ROUNDS_MAX: usize = 4;

/// Where commands and the ends of children are handed in. Nothing waits for it: what does not fit is left to
/// the parents' timers.
#[derive(Clone)]
pub(crate) struct Handle {
    queue: mpsc::Sender<Message>,
}

enum Message {
    Ask(Box<Command>),
    Ended(Box<Saga>),
}

impl Handle {
    /// A command to the participant `orchestrator`, committed a moment ago.
    pub(crate) fn ask(&self, command: Command) {
        self.send(Message::Ask(Box::new(command)));
    }

    /// The end of a saga that has a parent, committed a moment ago.
    pub(crate) fn ended(&self, child: &Saga) {
        self.send(Message::Ended(Box::new(child.clone())));
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            counter!("amends_children_left_to_timers_total").increment(1);
        }
    }
}

/// The loop.
pub(crate) struct Children {
    store: Store,
    definitions: Definitions,
    inputs: mpsc::Sender<Work>,
    queue: mpsc::Receiver<Message>,
    batch_count_max: usize,
    /// Undos that wait for the saga of their action to end.
    waiting: HashMap<SagaId, Command>,
}

impl Children {
    /// The loop, and where it is fed.
    pub(crate) fn new(
        store: &Store,
        definitions: &Definitions,
        inputs: &mpsc::Sender<Work>,
        config: &LoopsConfig,
    ) -> (Handle, Self) {
        let (sender, queue) = mpsc::channel(config.inputs_max);
        let children = Self {
            store: store.clone(),
            definitions: definitions.clone(),
            inputs: inputs.clone(),
            queue,
            batch_count_max: config.batch_count_max,
            waiting: HashMap::new(),
        };
        (Handle { queue: sender }, children)
    }

    /// Runs until shutdown. What is under way then is asked for again by the parents' timers.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.go_on()).await;
    }

    async fn go_on(&mut self) {
        loop {
            let mut messages = Vec::new();
            if self.queue.recv_many(&mut messages, self.batch_count_max).await == 0 {
                return;
            }
            let mut commands = Vec::new();
            for message in messages {
                match message {
                    Message::Ask(command) => commands.push(*command),
                    Message::Ended(child) => {
                        commands.extend(self.waiting.remove(&child.id));
                        self.tell(&child).await;
                    }
                }
            }
            if let Err(error) = self.answer(commands).await {
                tracing::warn!(%error, "commands to other sagas wait for the database");
            }
        }
    }

    /// Tells the parent how its child ended.
    async fn tell(&self, child: &Saga) {
        let Some(effect) = child.parent.clone().filter(|_| !child.is_tombstone()) else { return };
        // The number of a sending does not matter to a final answer.
        let answer = Answer::of(child, effect.direction).to(effect, 1);
        let _ = self.inputs.send(Work::new(answer.effect.saga, Task::Child(Box::new(answer)))).await;
    }

    async fn answer(&mut self, commands: Vec<Command>) -> Result<(), amends_store::Error> {
        let asked = self.asked(commands).await?;
        let ids: Vec<SagaId> = asked
            .iter()
            .flat_map(|asked| [Some(asked.own.id), asked.action.as_ref().map(|action| action.id)])
            .flatten()
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let loaded = self.store.load(&ids).await?;
        for row in &loaded.unreadable {
            tracing::error!(saga = %row.id, why = row.why, "a child cannot be read; its parent waits");
        }
        let unreadable = |id: &SagaId| loaded.unreadable.iter().any(|row| row.id == *id);
        let sagas: BTreeMap<SagaId, &Saga> = loaded.sagas.iter().map(|saga| (saga.id, saga)).collect();
        let can_be_read = |asked: &&Asked| {
            !unreadable(&asked.own.id) && !asked.action.as_ref().is_some_and(|child| unreadable(&child.id))
        };
        let this = &*self;
        let work: FuturesUnordered<_> = asked
            .iter()
            .filter(can_be_read)
            .map(|asked| {
                let own = sagas.get(&asked.own.id).map(|saga| Saga::clone(saga));
                let action = asked.action.as_ref().and_then(|child| sagas.get(&child.id));
                let (action, now) = (action.map(|saga| Saga::clone(saga)), loaded.now);
                async move { (asked, this.carry_out(asked, own, action, now).await) }
            })
            .collect();
        let answers: Vec<(&Asked, Option<Carried>)> = work.collect().await;
        let mut waiting = Vec::new();
        for (asked, carried) in answers {
            let Some(Carried { answer, is_cancelled }) = carried else { continue };
            if let (true, Some(action)) = (is_cancelled, &asked.action) {
                waiting.push((action.id, asked.command.clone()));
            }
            let reply = answer.to(asked.command.effect.clone(), asked.command.send_no);
            let _ = self.inputs.send(Work::new(reply.effect.saga, Task::Child(Box::new(reply)))).await;
        }
        if self.waiting.len() + waiting.len() > WAITING_MAX {
            self.waiting.clear();
        }
        self.waiting.extend(waiting);
        Ok(())
    }

    /// The commands that their sagas still ask for.
    async fn asked(&self, commands: Vec<Command>) -> Result<Vec<Asked>, amends_store::Error> {
        let ids: Vec<SagaId> = commands.iter().map(|command| command.effect.saga).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let parents: BTreeMap<SagaId, Saga> =
            self.store.load(&ids).await?.sagas.into_iter().map(|saga| (saga.id, saga)).collect();
        let mut asked = Vec::with_capacity(commands.len());
        for command in commands {
            let Some(parent) = parents.get(&command.effect.saga) else { continue };
            let Some(definition) = self.definitions.get(&parent.definition, parent.digest) else { continue };
            asked.extend(Asked::new(command, parent, &definition));
        }
        Ok(asked)
    }

    /// Does what the command asks for; `None` leaves it to the parent's timer.
    async fn carry_out(
        &self,
        asked: &Asked,
        mut own: Option<Saga>,
        mut action: Option<Saga>,
        now: Timestamp,
    ) -> Option<Carried> {
        let mut is_cancelled = false;
        for _ in 0..ROUNDS_MAX {
            match asked.decide(own.as_ref(), action.as_ref(), &self.definitions, now) {
                Act::Answer(answer) => return Some(Carried { answer, is_cancelled }),
                Act::Start(loaded) => {
                    if self.depth(asked).await? > DEPTH_MAX {
                        return Some(too_deep().into());
                    }
                    let begin = Begin {
                        parent: Some(asked.own.effect.clone()),
                        ..Begin::from(asked.command.data.clone())
                    };
                    match self.start(asked.own.id, loaded.definition, begin).await? {
                        Ok(saga) => own = Some(saga),
                        Err(message) => return Some(invalid(message).into()),
                    }
                }
                Act::Tombstone(whose, definition) => {
                    let child = match whose {
                        Whose::Own => &asked.own,
                        Whose::Action => asked.action.as_ref()?,
                    };
                    let parent = Some(child.effect.clone());
                    let begin = Begin { parent, tombstone: true, ..Begin::default() };
                    let saga = self.start(child.id, definition, begin).await?.ok()?;
                    match whose {
                        Whose::Own => own = Some(saga),
                        Whose::Action => action = Some(saga),
                    }
                }
                Act::Cancel if is_cancelled => break,
                Act::Cancel => {
                    is_cancelled = true;
                    if let Some(saga) = self.cancel(asked).await? {
                        action = Some(saga);
                    }
                }
            }
        }
        Some(Carried { answer: Outcome::Pending.into(), is_cancelled })
    }

    /// The saga as it is committed, whoever started it; or why the engine cannot start it.
    async fn start(
        &self,
        id: SagaId,
        definition: Arc<amends_definition::Definition>,
        begin: Begin,
    ) -> Option<Result<Saga, String>> {
        let (answer, answered) = oneshot::channel();
        let task = Task::Start(Box::new(StartTask { definition, begin, idempotency: None, answer }));
        self.inputs.send(Work::new(id, task)).await.ok()?;
        match answered.await.ok()? {
            Ok(Started::Started(saga)) => Some(Ok(Arc::unwrap_or_clone(saga))),
            Err(CoreError::Engine(message)) => Some(Err(message)),
            Ok(Started::DuplicateKey) | Err(CoreError::Overloaded(_) | CoreError::Unavailable) => None,
        }
    }

    /// Asks the saga of the action to turn back, and gives it as it is then.
    async fn cancel(&self, asked: &Asked) -> Option<Option<Saga>> {
        let action = asked.action.as_ref()?;
        let (answer, answered) = oneshot::channel();
        let cancel = Input::Operator {
            action: OperatorAction::Cancel,
            actor: "parent".to_owned(),
            reason: format!("undone by {}", asked.command.effect),
        };
        let task = Task::Operate { input: Box::new(cancel), answer };
        self.inputs.send(Work::new(action.id, task)).await.ok()?;
        match answered.await.ok()? {
            Ok(saga) => Some(Some(saga)),
            // Perhaps it has ended meanwhile.
            Err(OperateError::Refused { .. }) => self.store.saga(action.id).await.ok(),
            Err(_) => None,
        }
    }

    /// How many sagas stand above the child.
    async fn depth(&self, asked: &Asked) -> Option<usize> {
        let mut above = Some(asked.command.effect.saga);
        let mut depth = 0;
        while let Some(id) = above
            && depth <= DEPTH_MAX
        {
            depth += 1;
            let saga = self.store.saga(id).await.ok()?;
            above = saga.and_then(|saga| saga.parent).map(|effect| effect.saga);
        }
        Some(depth)
    }
}

/// What became of a command.
struct Carried {
    answer: Answer,
    /// The saga of the action was asked to turn back, and has not ended yet.
    is_cancelled: bool,
}

impl From<Outcome> for Carried {
    fn from(outcome: Outcome) -> Self {
        Self { answer: outcome.into(), is_cancelled: false }
    }
}

fn too_deep() -> Outcome {
    let message = format!(
        "{DEPTH_MAX} sagas stand above this one, and no more may: do they call each other in a ring?"
    );
    Outcome::Rejected { code: "too-deep".to_owned(), message }
}

fn invalid(message: String) -> Outcome {
    Outcome::Rejected { code: "invalid-input".to_owned(), message }
}
