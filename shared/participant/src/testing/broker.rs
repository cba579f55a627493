//! The broker, played: it notes what is published and acknowledged, and can refuse.
//!
//! Invariant: it changes only under its lock, and whoever waits looks again after every change.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use amends_broker::{Error, Outgoing, PublishError, Stored, StreamPosition};
use async_trait::async_trait;
use tokio::{sync::watch, time::timeout};

use crate::{events::Position, post::Publish, task::Acknowledge};

/// Longest wait for what has to come, before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Broker {
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    published: Vec<Outgoing>,
    acked: BTreeSet<u64>,
    progress: BTreeSet<u64>,
    refusing: bool,
    bytes_max: Option<usize>,
    position: Option<StreamPosition>,
}

impl Broker {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), changed: watch::Sender::new(0) }
    }

    #[cfg(test)]
    pub(crate) fn refuse(&self, refusing: bool) {
        self.change(|state| state.refusing = refusing);
    }

    #[cfg(test)]
    /// Takes no message whose body is larger.
    pub(crate) fn limit(&self, bytes_max: usize) {
        self.change(|state| state.bytes_max = Some(bytes_max));
    }

    #[cfg(test)]
    /// Says where the event stream stands.
    pub(crate) fn stand_at(&self, created_at_ms: i64, last_seq: u64) {
        let created_at = amends_contract::Timestamp::from_unix_ms(created_at_ms);
        let position = StreamPosition { created_at, last_seq, messages: last_seq, bytes: 0 };
        self.change(|state| state.position = Some(position));
    }

    pub(crate) fn published(&self) -> Vec<Outgoing> {
        self.lock().published.clone()
    }

    pub(crate) fn is_acked(&self, seq: u64) -> bool {
        self.lock().acked.contains(&seq)
    }

    #[cfg(test)]
    pub(crate) fn has_progress(&self, seq: u64) -> bool {
        self.lock().progress.contains(&seq)
    }

    /// Waits until `look` finds something.
    pub(crate) async fn until<T>(&self, what: &str, look: impl Fn(&Self) -> Option<T>) -> T {
        let mut changes = self.changed.subscribe();
        let found = async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = look(self) {
                    return found;
                }
                let _ = changes.changed().await;
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("in vain: {what}"))
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Publish for Broker {
    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
        let mut results = Vec::with_capacity(batch.len());
        self.change(|state| {
            for message in batch {
                let (bytes, limit) = (message.body.len(), state.bytes_max);
                results.push(match limit {
                    _ if state.refusing => Err(PublishError::Unavailable("played".to_owned())),
                    Some(bytes_max) if bytes > bytes_max => Err(PublishError::TooLarge { bytes, bytes_max }),
                    _ => {
                        state.published.push(message);
                        Ok(Stored { seq: state.published.len() as u64, duplicate: false })
                    }
                });
            }
        });
        results
    }
}

#[async_trait]
impl Position for Broker {
    async fn position(&self) -> Result<Option<StreamPosition>, Error> {
        Ok(self.lock().position)
    }
}

/// A delivery's answers.
pub(crate) struct Answer {
    pub(crate) broker: std::sync::Arc<Broker>,
    pub(crate) seq: u64,
}

impl Acknowledge for Answer {
    fn ack(&self) {
        self.broker.change(|state| {
            state.acked.insert(self.seq);
        });
    }

    fn progress(&self) {
        self.broker.change(|state| {
            state.progress.insert(self.seq);
        });
    }
}
