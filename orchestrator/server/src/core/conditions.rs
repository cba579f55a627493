//! Whose fault silence is: ours, the broker's or a participant's.
//!
//! Invariant: silence burns an attempt only when it is the participant's: not while the broker refuses
//! us, our own replies lie unread, or the participant reads nothing or is paused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_broker::{Broker, ConsumerStatus};
use amends_contract::{ORCHESTRATOR, Stream, Token};
use futures::future::{join, join_all};
use metrics::gauge;
use tokio::time::{Instant, timeout};

use super::config::LoopsConfig;
use super::definitions::Definitions;
use super::participant_pauses::ParticipantPauses;

/// What the timers know of the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    /// The broker does not take our messages, or replies lie unread.
    pub(crate) blind: bool,
    /// Participants that read nothing at the moment, or are paused.
    pub(crate) down: BTreeSet<Token>,
}

impl Conditions {
    /// Whether messages to this participant, or to anybody, may be expected to be read.
    pub(crate) fn allow(&self, participant: Option<&Token>) -> bool {
        !self.blind && participant.is_none_or(|name| !self.down.contains(name))
    }
}

/// Asks the broker, at most once per `conditions_ttl_ms`.
pub(crate) struct Watch {
    broker: Broker,
    definitions: Definitions,
    pauses: ParticipantPauses,
    ttl: Duration,
    patience: Duration,
    reply_backlog_max: u64,
    known: Option<(Instant, Arc<Conditions>)>,
}

impl Watch {
    pub(crate) fn new(
        broker: &Broker,
        definitions: &Definitions,
        pauses: &ParticipantPauses,
        config: &LoopsConfig,
    ) -> Self {
        Self {
            broker: broker.clone(),
            definitions: definitions.clone(),
            pauses: pauses.clone(),
            ttl: Duration::from_millis(config.conditions_ttl_ms),
            patience: Duration::from_millis(config.conditions_patience_ms),
            reply_backlog_max: config.reply_backlog_max,
            known: None,
        }
    }

    /// The conditions now, or at most the configured time ago.
    pub(crate) async fn now(&mut self) -> Arc<Conditions> {
        if let Some((at, conditions)) = &self.known
            && at.elapsed() < self.ttl
        {
            return Arc::clone(conditions);
        }
        let conditions = Arc::new(self.look().await);
        gauge!("amends_blind").set(if conditions.blind { 1.0 } else { 0.0 });
        #[expect(clippy::cast_precision_loss, reason = "participants are few")]
        gauge!("amends_participants_down").set(conditions.down.len() as f64);
        self.known = Some((Instant::now(), Arc::clone(&conditions)));
        conditions
    }

    async fn look(&self) -> Conditions {
        if !self.broker.health().connected {
            return Conditions { blind: true, down: BTreeSet::new() };
        }
        let participants = self.definitions.participants();
        let are_down = join_all(participants.iter().map(|name| self.is_down(name)));
        let (replies, are_down) = join(self.status(Stream::Reply, ORCHESTRATOR), are_down).await;
        // Without our own consumer every answer would pass us by.
        let blind = replies.is_none_or(|status| status.pending > self.reply_backlog_max);
        let down =
            participants.into_iter().zip(are_down).filter_map(|(name, is_down)| is_down.then_some(name));
        Conditions { blind, down: down.collect() }
    }

    async fn is_down(&self, participant: &Token) -> bool {
        if self.pauses.hold(participant) {
            return true;
        }
        let status = self.status(Stream::Command, participant).await;
        // Nobody asks for messages, or gets them, or commands lie unread: it is away, paused or behind.
        status.is_none_or(|status| status.waiting == 0 || status.paused_ms > 0 || status.pending > 0)
    }

    /// `None` when there is no such consumer, or nobody says.
    async fn status(&self, stream: Stream, durable: &str) -> Option<ConsumerStatus> {
        let asking = self.broker.consumer_status(stream, durable);
        timeout(self.patience, asking).await.ok()?.ok().flatten()
    }
}
