//! Whose fault silence is: ours, the broker's or a participant's.
//!
//! Invariant: silence burns an attempt only when it is the participant's: not while the broker refuses
//! us, our own replies lie unread, or the participant reads nothing or is paused.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use amends_broker::Broker;
use amends_contract::{ORCHESTRATOR, Stream, Token};
use metrics::gauge;
use tokio::time::Instant;

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
        let blind = match self.broker.consumer_status(Stream::Reply, ORCHESTRATOR).await {
            Ok(Some(status)) => status.pending > self.reply_backlog_max,
            // Without our own consumer every answer would pass us by.
            Ok(None) | Err(_) => true,
        };
        let mut down = BTreeSet::new();
        for participant in self.definitions.participants() {
            if self.is_down(&participant).await {
                down.insert(participant);
            }
        }
        Conditions { blind, down }
    }

    async fn is_down(&self, participant: &Token) -> bool {
        if self.pauses.hold(participant) {
            return true;
        }
        match self.broker.consumer_status(Stream::Command, participant).await {
            // Nobody asks for messages, or gets them, or commands lie unread: it is away, paused or behind.
            Ok(Some(status)) => status.waiting == 0 || status.paused_ms > 0 || status.pending > 0,
            Ok(None) | Err(_) => true,
        }
    }
}
