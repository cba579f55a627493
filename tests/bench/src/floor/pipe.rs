//! To and from the broker: pulls messages in batches, publishes a batch, and acknowledges what it answers.
//!
//! One inbox for all that the broker says to what was published, and a count of what a batch still waits
//! for instead of a future for each message.
//!
//! Invariant: a message is acknowledged only when the broker has stored all that came of its batch.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context, bail};
use async_nats::{
    Client, ConnectOptions, Message, Subject, Subscriber,
    jetstream::{
        self,
        consumer::{PullConsumer, pull},
    },
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{Acks, Failures};

/// At most so many messages in one commit.
const BATCH_MAX: usize = 1_000;
/// What one pull asks for.
const PULL: usize = 2 * BATCH_MAX;
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);
const ACK: Bytes = Bytes::from_static(b"+ACK");

/// A connection of a component's own.
pub(super) async fn connect(url: &str) -> anyhow::Result<Client> {
    // Its channel holds what one batch publishes and acknowledges: a full one costs a switch of tasks.
    let options = ConnectOptions::new().client_capacity(4 * BATCH_MAX).skip_subject_validation(true);
    options.connect(url).await.with_context(|| format!("no broker answers at {url}: start nats-server"))
}

/// Where messages come from: one long pull after the other. The client's own stream of them takes no more
/// CPU than pulls and their statuses told apart here by hand (measured: no difference that can be seen).
pub(super) struct Source {
    messages: pull::Stream,
}

impl Source {
    pub(super) async fn open(client: &Client, stream: &str, consumer: &str) -> anyhow::Result<Self> {
        let context = jetstream::new(client.clone());
        let consumer: PullConsumer = context.get_consumer_from_stream(consumer, stream).await?;
        let pulls = consumer.stream().max_messages_per_batch(PULL);
        let messages = pulls.expires(PULL_EXPIRES).heartbeat(HEARTBEAT).messages().await?;
        Ok(Self { messages })
    }

    /// What has come; waits if nothing has.
    pub(super) async fn take(&mut self) -> anyhow::Result<Vec<Message>> {
        let first = self.messages.next().await.context("the subscription ended")??;
        self.taken(vec![first.message])
    }

    /// What has come, be it nothing.
    pub(super) fn take_ready(&mut self) -> anyhow::Result<Vec<Message>> {
        self.taken(Vec::new())
    }

    fn taken(&mut self, mut chunk: Vec<Message>) -> anyhow::Result<Vec<Message>> {
        while chunk.len() < BATCH_MAX
            && let Some(Some(message)) = self.messages.next().now_or_never()
        {
            chunk.push(message?.message);
        }
        Ok(chunk)
    }
}

/// Where messages go, and where their sources are acknowledged.
pub(super) struct Sink {
    client: Client,
    inbox: String,
    batches: UnboundedSender<Batch>,
    number: usize,
    acknowledging: JoinHandle<()>,
}

/// What was published at once, and what it answers.
struct Batch {
    unconfirmed: usize,
    sources: Vec<Subject>,
}

impl Sink {
    pub(super) async fn open(client: &Client, acks: Acks, failures: Failures) -> anyhow::Result<Self> {
        let inbox = client.new_inbox();
        let confirmations = client.subscribe(format!("{inbox}.*")).await?;
        let (batches, published) = unbounded_channel();
        let answering = acknowledge(client.clone(), confirmations, published, acks);
        let acknowledging = tokio::spawn(tokio::task::unconstrained(async move {
            if let Err(error) = answering.await {
                failures.send(Err(error)).ok();
            }
        }));
        Ok(Self { client: client.clone(), inbox, batches, number: 0, acknowledging })
    }

    /// Publishes `outputs`; `sources` are acknowledged once the broker has all of them.
    pub(super) async fn publish(
        &mut self,
        sources: Vec<Subject>,
        outputs: Vec<(&'static str, Bytes)>,
    ) -> anyhow::Result<()> {
        let confirm = Subject::from(format!("{}.{}", self.inbox, self.number));
        self.number += 1;
        self.batches.send(Batch { unconfirmed: outputs.len(), sources }).ok();
        for (subject, body) in outputs {
            let subject = Subject::from_static(subject);
            self.client.publish_with_reply(subject, confirm.clone(), body).await?;
        }
        Ok(())
    }

    /// Waits until all is confirmed and acknowledged.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        drop(self.batches);
        self.acknowledging.await?;
        Ok(self.client.flush().await?)
    }
}

#[derive(Deserialize)]
struct Confirmation {
    /// A refusal has none.
    seq: u64,
}

async fn acknowledge(
    client: Client,
    mut confirmations: Subscriber,
    mut published: UnboundedReceiver<Batch>,
    acks: Acks,
) -> anyhow::Result<()> {
    let (mut waiting, mut first) = (VecDeque::<Batch>::new(), 0);
    let (mut open, mut chunk) = (true, Vec::new());
    while open || !waiting.is_empty() {
        tokio::select! { biased; // A batch is known before its confirmation is read.
            batch = published.recv(), if open => match batch {
                Some(batch) => waiting.push_back(batch),
                None => open = false,
            },
            Some(first_come) = confirmations.next() => {
                chunk.push(first_come);
                while let Some(Some(next)) = confirmations.next().now_or_never() {
                    chunk.push(next);
                }
            }
        }
        for message in chunk.drain(..) {
            let number = message.subject.rsplit('.').next().and_then(|number| number.parse::<usize>().ok());
            let index = number.and_then(|number| number.checked_sub(first));
            let batch = index.and_then(|index| waiting.get_mut(index)).context("who confirms what?")?;
            match serde_json::from_slice::<Confirmation>(&message.payload) {
                Ok(confirmation) if confirmation.seq > 0 => batch.unconfirmed -= 1,
                _ => bail!("the broker refuses a message: {}", String::from_utf8_lossy(&message.payload)),
            }
        }
        while waiting.front().is_some_and(|batch| batch.unconfirmed == 0) {
            first += 1;
            let sources = waiting.pop_front().map(|batch| batch.sources).unwrap_or_default();
            let skipped = if acks == Acks::Batch { sources.len().saturating_sub(1) } else { 0 };
            for source in sources.into_iter().skip(skipped) {
                client.publish(source, ACK).await?;
            }
        }
    }
    Ok(())
}
