//! Tells whether a key has started a saga, for many who ask at once in one query.
//!
//! Asked only by those who would be refused: at overload that is every second request, and a query each would take
//! from what was accepted.
//!
//! Invariant: it never says no of a key whose start was answered.

use std::collections::HashSet;

use amends_store::Store;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::{CoreError, Overload, OverloadReason};

/// Most keys in one query.
const KEYS_MAX: usize = 256;

/// Where to ask. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Repeats {
    queue: mpsc::Sender<Question>,
}

struct Question {
    key: (Uuid, String),
    answer: oneshot::Sender<Result<bool, CoreError>>,
}

/// Where to ask, and the loop that answers until nobody may ask any more. At most `waiting_max` wait.
pub(crate) fn new(store: &Store, waiting_max: usize) -> (Repeats, impl Future<Output = ()> + use<>) {
    let (queue, questions) = mpsc::channel(waiting_max.max(1));
    (Repeats { queue }, answer(store.clone(), questions))
}

impl Repeats {
    pub(crate) async fn is_started(&self, owner: Uuid, key: &str) -> Result<bool, CoreError> {
        let (answer, answered) = oneshot::channel();
        let question = Question { key: (owner, key.to_owned()), answer };
        self.queue.try_send(question).map_err(|error| match error {
            TrySendError::Full(_) => {
                CoreError::Overloaded(Overload { reason: OverloadReason::Queue, settles_in_ms: None })
            }
            TrySendError::Closed(_) => CoreError::Unavailable,
        })?;
        answered.await.unwrap_or(Err(CoreError::Unavailable))
    }
}

async fn answer(store: Store, mut questions: mpsc::Receiver<Question>) {
    let mut asked = Vec::new();
    while questions.recv_many(&mut asked, KEYS_MAX).await > 0 {
        let keys: HashSet<(Uuid, String)> = asked.iter().map(|question| question.key.clone()).collect();
        let known = store.known_keys(keys).await.map_err(|error| {
            tracing::warn!(%error, "whether keys are known cannot be told");
            CoreError::Unavailable
        });
        for Question { key, answer } in asked.drain(..) {
            let _ = answer.send(known.as_ref().map(|known| known.contains(&key)).map_err(Clone::clone));
        }
    }
}
