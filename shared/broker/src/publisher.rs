//! Publishing in batches: everything is sent, then everything is awaited.
//!
//! What the broker certainly did not take (no stream, no leader) is offered again until
//! `publish_timeout_ms` is over. What timed out is not: it may have been stored, and whoever sent it
//! knows better whether to send it again.
//!
//! Invariant: one answer per message, in the order of the batch; one bad message harms no other.

use amends_contract::header;
use async_nats::{HeaderMap, HeaderValue, client::PublishErrorKind};
use bytes::Bytes;
use metrics::counter;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Broker, ProblemKind, PublishError, Stored, config::ms, jitter, ledger::Answer, meter};

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// The body: the whole message.
    pub body: Bytes,
    /// For the broker's duplicate window; `None` on replies, which must never be taken for duplicates.
    pub message_id: Option<String>,
    /// Media type of the body.
    pub content_type: &'static str,
    /// W3C trace context.
    pub traceparent: Option<String>,
}

/// Publishes batches. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    broker: Broker,
}

impl Publisher {
    pub(crate) const fn new(broker: Broker) -> Self {
        Self { broker }
    }

    /// Publishes all messages, pipelined, and tells for each what became of it, in the same order.
    ///
    /// Returns within about `publish_timeout_ms` of the last message sent; at once when the connection
    /// has been down for longer than that. Dropping the future leaves unknown what was stored.
    pub async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
        let core = &self.broker.core;
        let deadline = Instant::now() + ms(core.config.publish_timeout_ms);
        let unavailable = || Err(PublishError::Unavailable("not connected".to_owned()));
        let mut answers: Vec<Answer> = batch.iter().map(|_| unavailable()).collect();
        let mut open: Vec<usize> = (0..batch.len()).collect();
        while !open.is_empty() && self.ready_by(deadline).await {
            let round = self.attempt(&batch, &open).await;
            for (index, answer) in open.iter().zip(round) {
                answers[*index] = answer;
            }
            open.retain(|index| matches!(answers[*index], Err(PublishError::Unavailable(_))));
            if open.is_empty() {
                break;
            }
            core.topology.hint();
            let pause = ms(jitter::spread(core.config.publish_retry_ms));
            if Instant::now() + pause >= deadline {
                break;
            }
            sleep(pause).await;
        }
        self.account(&answers);
        answers
    }

    /// Waits for the connection until the deadline, or until it has been gone for the publish timeout:
    /// a long outage shall not hold up every batch anew.
    async fn ready_by(&self, deadline: Instant) -> bool {
        let core = &self.broker.core;
        if core.is_connected() {
            return true;
        }
        match core.config.publish_timeout_ms.saturating_sub(core.monitor.disconnected_ms()) {
            0 => false,
            patience_ms => core.connected_by(deadline.min(Instant::now() + ms(patience_ms))).await,
        }
    }

    /// Sends the messages at the indices `open` and waits for their answers, in that order.
    async fn attempt(&self, batch: &[Outgoing], open: &[usize]) -> Vec<Answer> {
        let core = &self.broker.core;
        let timeout_ms = core.config.publish_timeout_ms;
        let link = core.link();
        let mut page = core.ledger.batch(open.len());
        for (slot, index) in open.iter().enumerate() {
            let message = &batch[*index];
            let headers = match headers(message) {
                Ok(headers) => headers,
                Err(why) => {
                    page.refuse(slot, why);
                    continue;
                }
            };
            let sent = timeout_at(Instant::now() + ms(timeout_ms), async {
                let reply = page.send_slot(slot).await;
                let (subject, body) = (message.subject.clone(), message.body.clone());
                link.client.publish_with_reply_and_headers(subject, reply, headers, body).await
            });
            match sent.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    page.unsend();
                    page.refuse(slot, self.not_sent(message, &error));
                }
                // The connection takes nothing any more; the rest of the batch would wait as long.
                Err(_) => break,
            }
        }
        page.answers(timeout_ms).await
    }

    fn not_sent(&self, message: &Outgoing, error: &async_nats::PublishError) -> PublishError {
        match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => PublishError::TooLarge {
                bytes: message.body.len() + header_bytes(message),
                bytes_max: self.broker.core.link().client.max_payload(),
            },
            PublishErrorKind::InvalidSubject => {
                PublishError::Invalid(format!("{:?} is no subject", message.subject))
            }
            PublishErrorKind::Send => PublishError::Unavailable("the connection is closed".to_owned()),
        }
    }

    /// Counts the failures, and keeps those of the broker where people look for them.
    fn account(&self, answers: &[Answer]) {
        let monitor = &self.broker.core.monitor;
        let mut worst = None;
        for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            counter!(meter::PUBLISH_ERRORS, "kind" => error.kind()).increment(1);
            if !matches!(error, PublishError::TooLarge { .. } | PublishError::Invalid(_)) {
                worst = Some(error);
            }
        }
        match worst {
            Some(error) => monitor.note(ProblemKind::Publish, &error.to_string()),
            None if answers.iter().any(Result::is_ok) => monitor.over(ProblemKind::Publish, ""),
            None => {}
        }
    }
}

fn headers(message: &Outgoing) -> Result<HeaderMap, PublishError> {
    let mut headers = HeaderMap::new();
    for (name, text) in header_lines(message) {
        let value: HeaderValue =
            text.parse().map_err(|error| PublishError::Invalid(format!("header {name}: {error}")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn header_lines(message: &Outgoing) -> impl Iterator<Item = (&'static str, &str)> {
    [
        (header::CONTENT_TYPE, Some(message.content_type)),
        (header::MESSAGE_ID, message.message_id.as_deref()),
        (header::TRACEPARENT, message.traceparent.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
}

/// What the headers take on the wire: `NATS/1.0`, a line each, an empty line.
fn header_bytes(message: &Outgoing) -> usize {
    let lines: usize = header_lines(message).map(|(name, text)| name.len() + 2 + text.len() + 2).sum();
    10 + lines + 2
}
