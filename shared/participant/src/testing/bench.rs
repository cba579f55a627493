//! A participant on the test bench: it gets commands, and shows its replies.
//!
//! Invariant: every delivery has a number of its own, as in a stream.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use amends_broker::{Delivery, Outgoing};
use amends_contract::{
    Address, Command, Direction, EffectId, Envelope, Names, Outcome, Reply, SagaId, Timestamp,
};
use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::broker::{Answer, Broker};
use crate::{
    Config, Database, Error, Participant, Pools,
    core::Core,
    database::Failure,
    events::Events,
    purge, recover,
    run::{self, Inside},
};

/// A participant whose broker is played.
pub struct Bench {
    pub(crate) core: Arc<Core>,
    pub(crate) inside: Inside,
    pub(crate) broker: Arc<Broker>,
    pub(crate) names: Names,
    shutdown: CancellationToken,
    deliveries: AtomicU64,
}

impl Bench {
    /// Starts the participant on the database at `url`, migrated.
    ///
    /// # Errors
    /// [`Error`], as of [`Participant::run`].
    pub async fn start(participant: Participant, url: &str, config: Config) -> Result<Self, Error> {
        let db = Database::connect(url, &Pools::default()).await?;
        participant.migrate(&db).await?;
        Self::on(participant, db, config).await
    }

    /// Starts the participant on an open database that is migrated.
    ///
    /// # Errors
    /// [`Error`], as of [`Participant::run`].
    pub async fn on(participant: Participant, db: Database, config: Config) -> Result<Self, Error> {
        let core = Arc::new(participant.checked(db, config)?);
        let (broker, names) = (Arc::new(Broker::new()), Names::default());
        let shutdown = CancellationToken::new();
        let inside = Inside::start(&core, broker.clone(), &names, &shutdown);
        recover::wake_all(&inside.runner).await?;
        Ok(Self { core, inside, broker, names, shutdown, deliveries: AtomicU64::new(0) })
    }

    /// The participant's database.
    #[must_use]
    pub fn db(&self) -> &Database {
        &self.core.db
    }

    /// Sends a command and waits for the answer to it: the reply that lets the command be acknowledged.
    ///
    /// # Panics
    /// When none comes.
    pub async fn ask(&self, command: &Command) -> Reply {
        let (_, bytes) = self.ask_bytes(command).await;
        reply(&bytes)
    }

    /// Sends a command and waits for the outcome of its effect: `pending` is not enough.
    ///
    /// # Panics
    /// When none comes.
    pub async fn settle(&self, command: &Command) -> Outcome {
        self.deliver(vec![self.delivery(command)]).await;
        self.outcome_of(&command.effect).await
    }

    /// The final outcome of an effect, once it is published.
    ///
    /// # Panics
    /// When none comes.
    pub async fn outcome_of(&self, effect: &EffectId) -> Outcome {
        let what = format!("the outcome of {effect}");
        let find = |broker: &Broker| {
            let replies = broker.published().into_iter().filter_map(|message| self.read(&message));
            replies.map(|reply| (reply.effect, reply.outcome)).find(|(e, o)| e == effect && o.is_final())
        };
        self.broker.until(&what, find).await.1
    }

    /// Handles deliveries as one batch, as they come from the broker.
    pub async fn deliver(&self, deliveries: Vec<Delivery>) {
        let broker = &self.broker;
        let answer = |delivery: &Delivery| Answer { broker: Arc::clone(broker), seq: delivery.stream_seq };
        let take =
            run::take(&self.inside.runner, &self.names, deliveries, |delivery| Box::new(answer(delivery)));
        take.await;
    }

    /// A command as the broker delivers it.
    #[must_use]
    pub fn delivery(&self, command: &Command) -> Delivery {
        let subject = self.names.subject(&command.address.message_type());
        self.raw(&subject, &command.to_envelope().encode())
    }

    /// Anything as the broker delivers it.
    #[must_use]
    pub fn raw(&self, subject: &str, body: &[u8]) -> Delivery {
        let mut delivery = Delivery::detached(subject, Bytes::copy_from_slice(body));
        delivery.stream_seq = self.deliveries.fetch_add(1, Ordering::Relaxed) + 1;
        delivery
    }

    /// All replies so far, as they were published.
    #[must_use]
    pub fn replies(&self) -> Vec<Reply> {
        self.broker.published().iter().filter_map(|message| self.read(message)).collect()
    }

    /// Everything published so far.
    #[must_use]
    pub fn published(&self) -> Vec<Outgoing> {
        self.broker.published()
    }

    /// Takes up open rows, once.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn recover(&self) -> u64 {
        done(recover::round(&self.inside.runner).await)
    }

    /// Purges old rows, once.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn purge(&self) -> u64 {
        done(purge::round(&self.core).await)
    }

    /// Publishes events, once.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn publish_events(&self) -> u64 {
        done(self.events().round().await)
    }

    /// Tells it to shut down.
    pub fn shut_down(&self) {
        self.shutdown.cancel();
    }

    /// Ends it as a shutdown does; gives back the database.
    pub async fn stop(self) -> Database {
        self.shutdown.cancel();
        self.inside.finish().await;
        self.core.db.clone()
    }

    /// Waits until no call is in hand any more.
    #[cfg(test)]
    pub(crate) async fn until_idle(&self) {
        self.inside.runner.calls.until_idle().await;
    }

    pub(crate) fn events(&self) -> Events {
        let (core, names) = (Arc::clone(&self.core), self.names.clone());
        Events { core, publish: self.broker.clone(), position: self.broker.clone(), names }
    }

    pub(crate) async fn ask_bytes(&self, command: &Command) -> (u64, Bytes) {
        let delivery = self.delivery(command);
        let (seq, before) = (delivery.stream_seq, self.broker.published().len());
        self.deliver(vec![delivery]).await;
        let what = format!("an answer to {}", command.effect.message_id(command.send_no));
        let find = |broker: &Broker| {
            let published = broker.published();
            let mut new = published.iter().skip(before);
            let answer =
                new.find(|message| self.read(message).is_some_and(|reply| reply.effect == command.effect));
            answer.filter(|_| broker.is_acked(seq)).map(|message| message.body.clone())
        };
        (seq, self.broker.until(&what, find).await)
    }

    fn read(&self, message: &Outgoing) -> Option<Reply> {
        (message.subject == self.names.reply(&self.core.name)).then(|| reply(&message.body))
    }
}

fn reply(bytes: &[u8]) -> Reply {
    let reply = Envelope::decode(bytes).and_then(Reply::from_envelope);
    reply.unwrap_or_else(|error| panic!("a reply that cannot be read: {error}"))
}

fn done<T>(result: Result<T, sea_orm::DbErr>) -> T {
    result.unwrap_or_else(|error| panic!("{:?}: {error}", Failure::of(&error)))
}

/// The id of a saga made at a moment; `number` tells several of one moment apart.
///
/// # Panics
/// When the moment is before 1970.
#[must_use]
pub fn saga_at(made_at: Timestamp, number: u64) -> SagaId {
    let ms = u128::try_from(made_at.unix_ms()).unwrap_or_else(|_| panic!("{made_at} is before 1970"));
    let uuid = (ms << 80) | (7 << 76) | (2 << 62) | u128::from(number);
    SagaId::new(uuid::Uuid::from_u128(uuid)).unwrap_or_else(|error| panic!("{error}"))
}

/// The first sending of the action `step` of a saga, by the command `address` (`participant.command`).
///
/// # Panics
/// When a name is none.
#[must_use]
pub fn command(saga: SagaId, step: &str, address: &str, data: Value) -> Command {
    fn name(text: &str) -> ! {
        panic!("{text:?} is not a name")
    }
    let (participant, command) = address.split_once('.').unwrap_or_else(|| name(address));
    Command {
        effect: EffectId {
            saga,
            step: step.parse().unwrap_or_else(|_| name(step)),
            direction: Direction::Forward,
            epoch: 1,
        },
        send_no: 1,
        address: Address::new(participant, command).unwrap_or_else(|_| name(address)),
        definition: "test.v1".parse().unwrap_or_else(|_| name("test.v1")),
        decided_at: saga.made_at(),
        undoes: None,
        data: data.into(),
    }
}

/// The first sending of the undo of an action, by another command of the same participant.
///
/// # Panics
/// When the name is none.
#[must_use]
pub fn undo_of(action: &Command, name: &str) -> Command {
    let participant = &action.address.participant;
    Command {
        effect: EffectId { direction: Direction::Backward, ..action.effect.clone() },
        send_no: 1,
        address: Address::new(participant, name).unwrap_or_else(|error| panic!("{error}")),
        undoes: Some(action.effect.clone()),
        ..action.clone()
    }
}
