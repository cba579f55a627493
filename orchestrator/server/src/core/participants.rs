//! The participants as the broker sees them: who is there, how far they are, and who has paused them.
//!
//! Invariant: it only looks. What it cannot learn it leaves out, and says so.

use std::time::Duration;

use amends_broker::{ConsumerStatus, Error, Instance};
use amends_contract::{ORCHESTRATOR, Stream, Token};
use amends_store::ParticipantAction;

use super::Core;

/// How long instances have to answer; all of them are a millisecond away.
const INSTANCES_WAIT: Duration = Duration::from_millis(300);

/// A participant of the definitions that are loaded.
#[derive(Debug)]
pub struct ParticipantState {
    /// Its name.
    pub name: Token,
    /// Its running processes, as far as they show themselves.
    pub instances: Vec<Instance>,
    /// How far it has read its commands; `None` when it has no consumer.
    pub consumer: Option<ConsumerStatus>,
    /// Why it gets no commands; `None` when it does, or somebody paused it at the broker by hand.
    pub pause: Option<ParticipantAction>,
}

impl Core {
    /// All participants that a loaded definition calls.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn participants(&self) -> Result<Vec<ParticipantState>, Error> {
        let instances = self.broker.instances(None, INSTANCES_WAIT).await?;
        let mut states = Vec::new();
        for name in self.definitions.participants() {
            if name.as_str() == ORCHESTRATOR {
                continue;
            }
            let service = self.names().service_name(&name);
            let instances = instances.iter().filter(|instance| instance.name == service).cloned().collect();
            let consumer = self.broker.consumer_status(Stream::Command, &name).await?;
            let pause = self.halts.of(&name);
            states.push(ParticipantState { name, instances, consumer, pause });
        }
        Ok(states)
    }
}
