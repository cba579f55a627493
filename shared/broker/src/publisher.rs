//! Publishing in batches: everything is sent, then everything is awaited.
//!
//! What the broker certainly did not take (no stream, no leader) is offered again until
//! `publish_timeout_ms` is over. What timed out is not: it may have been stored, and whoever sent it
//! knows better whether to send it again.
//!
//! Invariant: one answer per message, in the order of the batch; one bad message harms no other.

use amends_contract::{BATCH_COUNT_MAX, CONTENT_TYPE, ENVELOPE_BYTES_MAX, header};
use async_nats::{HeaderMap, HeaderValue, client::PublishErrorKind};
use bytes::Bytes;
use metrics::counter;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    Broker, ProblemKind, PublishError, Stored,
    bundle::{Limits, bundled},
    config::ms,
    jitter,
    ledger::Answer,
    meter,
};

/// A message to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub subject: String,
    /// The body: the whole message.
    pub body: Bytes,
    /// For the broker's duplicate window. `None` on replies, which must never be taken for duplicates, and where
    /// [`Publisher::wants_ids`] says no.
    pub message_id: Option<String>,
    /// Media type of the body.
    pub content_type: &'static str,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// How sure its sender wants to be that it is stored.
    pub ack: Ack,
}

/// Which acknowledgement tells that a message is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// Its own.
    Own,
    /// That of another such message of the batch, sent behind it: they all go into one stream, and what comes over one
    /// connection is stored in its order. It is not noticed when the broker changes its leader or the connection breaks
    /// off in between, or when the broker refuses this message alone; so it is for messages that a timer sends again.
    /// It saves the broker an answer to each.
    Shared,
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

    /// Whether messages shall carry ids that do not need them; see [`Config::message_ids`](crate::Config::message_ids).
    #[must_use]
    pub fn wants_ids(&self) -> bool {
        self.broker.core.config.message_ids
    }

    /// Publishes all messages, pipelined, and tells for each what became of it, in the same order; of one without an
    /// acknowledgement of its own, what became of the one that stands for it.
    ///
    /// Returns within about `publish_timeout_ms` of the last message sent; at once when the connection
    /// has been down for longer than that. Dropping the future leaves unknown what was stored.
    pub async fn publish(&self, batch: Vec<Outgoing>) -> Vec<Result<Stored, PublishError>> {
        let core = &self.broker.core;
        let (batch, places) = bundled(batch, self.limits());
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
        places.into_iter().map(|place| answers[place].clone()).collect()
    }

    fn limits(&self) -> Limits {
        let core = &self.broker.core;
        // The headers of a bundle are its media type's.
        let room = core.link().client.max_payload().saturating_sub(256).min(ENVELOPE_BYTES_MAX);
        Limits {
            count_max: core.config.bundle_count_max.min(BATCH_COUNT_MAX),
            bytes_max: core.config.bundle_bytes_max.min(room),
        }
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
        let mut ready = Vec::with_capacity(open.len());
        for (slot, index) in open.iter().enumerate() {
            match prepare(&batch[*index], link.client.max_payload()) {
                Ok(headers) => ready.push((slot, &batch[*index], headers)),
                Err(why) => page.refuse(slot, why),
            }
        }
        let group_max = core.config.publish_group_max.clamp(1, core.config.outstanding_max.max(1));
        let last_shared = ready.iter().rfind(|(_, message, _)| shares(message)).map(|(slot, ..)| *slot);
        for (slot, message, headers) in ready {
            let shares = shares(message);
            let goes_unanswered = shares && Some(slot) != last_shared && page.unanswered() + 1 < group_max;
            let sent = timeout_at(Instant::now() + ms(timeout_ms), async {
                let (subject, body) = (message.subject.clone(), message.body.clone());
                if goes_unanswered {
                    page.send_unanswered(slot);
                    return link.client.publish_with_headers(subject, headers, body).await;
                }
                let reply = page.send_slot(slot, shares).await;
                link.client.publish_with_reply_and_headers(subject, reply, headers, body).await
            });
            match sent.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => page.unsend(slot, self.not_sent(message, &error)),
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

/// Whether another acknowledgement may stand for the message's own. A large one is refused more easily than others, by
/// limits that somebody has set at the broker, and that should be seen.
fn shares(message: &Outgoing) -> bool {
    const BYTES_MAX: usize = 16 * 1024;
    message.ack == Ack::Shared && message.body.len() <= BYTES_MAX
}

/// The headers of a message that can be sent. What cannot is found before the first one goes, so that none waits for an
/// acknowledgement of what was not sent.
fn prepare(message: &Outgoing, bytes_max: usize) -> Result<HeaderMap, PublishError> {
    let bytes = message.body.len() + header_bytes(message);
    if bytes > bytes_max {
        return Err(PublishError::TooLarge { bytes, bytes_max });
    }
    headers(message)
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

/// Only what has to be said: a message without headers costs everybody less, the broker most, and a body is one
/// CloudEvent as JSON where nothing else is said.
fn header_lines(message: &Outgoing) -> impl Iterator<Item = (&'static str, &str)> {
    let media_type = Some(message.content_type).filter(|media_type| *media_type != CONTENT_TYPE);
    [
        (header::CONTENT_TYPE, media_type),
        (header::MESSAGE_ID, message.message_id.as_deref()),
        (header::TRACEPARENT, message.traceparent.as_deref()),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
}

/// What the headers take on the wire, if there are any: `NATS/1.0`, a line each, an empty line.
fn header_bytes(message: &Outgoing) -> usize {
    match header_lines(message).map(|(name, text)| name.len() + 2 + text.len() + 2).sum() {
        0 => 0,
        lines => 10 + lines + 2,
    }
}
