//! Publishing answers, and acknowledging what they answer.
//!
//! Batches are published while the next ones are handled, a bounded number at a time. Invariant: publish,
//! then acknowledge. What the broker did not take leaves its delivery unacknowledged: it comes again, and
//! the inbox answers.

use std::{collections::BTreeMap, sync::Arc};

use amends_broker::{Ack, Outgoing, PublishError, Publisher, Stored};
use amends_contract::{CONTENT_TYPE, DeadLetter, Names, Token};
use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use amends_crash as crash;

use crate::{meter, task::Parcel};

/// What can publish.
#[async_trait]
pub(crate) trait Publish: Send + Sync {
    /// One answer per message, in order.
    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>>;
}

#[async_trait]
impl Publish for Publisher {
    async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
        Self::publish(self, batch).await
    }
}

/// An answer with whom it answers.
pub(crate) struct Letter {
    pub(crate) message: Outgoing,
    /// What may go in its place, one after the other, if it is larger than the broker takes.
    smaller: Vec<Outgoing>,
    pub(crate) parcel: Option<Arc<Parcel>>,
}

/// Publishes letters.
pub(crate) struct Post {
    publish: Arc<dyn Publish>,
    reply_subject: String,
    dead_subject: String,
    room: Arc<Semaphore>,
    running: TaskTracker,
}

impl Post {
    pub(crate) fn new(publish: Arc<dyn Publish>, names: &Names, name: &Token, batches_max: usize) -> Self {
        Self {
            publish,
            reply_subject: names.reply(name),
            dead_subject: names.dead(name),
            room: Arc::new(Semaphore::new(batches_max.max(1))),
            running: TaskTracker::new(),
        }
    }

    /// A reply. It carries no message id: an answer that is given twice must not vanish.
    pub(crate) fn reply(
        &self,
        body: Vec<u8>,
        traceparent: Option<String>,
        parcel: Option<Arc<Parcel>>,
    ) -> Letter {
        let message = Outgoing {
            subject: self.reply_subject.clone(),
            body: Bytes::from(body),
            message_id: None,
            content_type: CONTENT_TYPE,
            traceparent,
            ack: Ack::Shared,
        };
        Letter { message, smaller: Vec::new(), parcel }
    }

    /// A dead letter. Where it is too large for the broker it goes without its headers, or as a last
    /// resort without its body, of which it has the digest.
    pub(crate) fn dead(&self, dead: &DeadLetter, parcel: Arc<Parcel>) -> Letter {
        let message = |dead: &DeadLetter| Outgoing {
            subject: self.dead_subject.clone(),
            body: Bytes::from(dead.to_envelope().encode()),
            message_id: Some(dead.id()),
            content_type: CONTENT_TYPE,
            traceparent: None,
            ack: Ack::Own,
        };
        let headless = DeadLetter { headers: BTreeMap::new(), ..dead.clone() };
        let empty = DeadLetter { body_base64: String::new(), ..headless.clone() };
        Letter {
            message: message(dead),
            smaller: vec![message(&headless), message(&empty)],
            parcel: Some(parcel),
        }
    }

    /// Publishes in the background; waits only while too many batches are on their way.
    pub(crate) async fn send(&self, letters: Vec<Letter>) {
        if letters.is_empty() {
            return;
        }
        let room = Arc::clone(&self.room).acquire_owned().await;
        let publish = Arc::clone(&self.publish);
        self.running.spawn(async move {
            let _room = room;
            send(&*publish, letters).await;
        });
    }

    /// Waits until nothing is on its way.
    #[cfg(test)]
    pub(crate) async fn idle(&self) {
        self.running.close();
        self.running.wait().await;
        self.running.reopen();
    }

    /// Waits until everything is published, or given up.
    pub(crate) async fn finish(&self) {
        self.running.close();
        self.running.wait().await;
    }
}

async fn send(publish: &dyn Publish, mut letters: Vec<Letter>) {
    crash::point(crash::BEFORE_PUBLISH);
    while !letters.is_empty() {
        let messages = letters.iter().map(|letter| letter.message.clone()).collect();
        let results = publish.publish(messages).await;
        crash::point(crash::AFTER_PUBLISH);
        let again = results.into_iter().zip(letters).filter_map(|(result, letter)| settle(&result, letter));
        letters = again.collect();
    }
}

/// Acknowledges what a published letter answers; gives what is to be published in place of a letter that
/// was too large.
fn settle(result: &Result<Stored, PublishError>, mut letter: Letter) -> Option<Letter> {
    match result {
        Ok(_) => {
            if let Some(parcel) = letter.parcel {
                parcel.answered();
            }
            None
        }
        Err(PublishError::TooLarge { .. }) if !letter.smaller.is_empty() => {
            letter.message = letter.smaller.remove(0);
            Some(letter)
        }
        Err(error) => {
            counter!(meter::UNSENT, "kind" => error.kind()).increment(1);
            if !error.is_transient() {
                tracing::error!(%error, "an answer cannot be published");
            }
            None
        }
    }
}
