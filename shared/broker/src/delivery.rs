//! One message as the broker hands it over, and the answers to it: ack, nak, progress.
//!
//! The answers go through one queue to one task that writes them to the connection, so that no loop
//! ever waits for them. They are not durable: after a crash of the broker acknowledged messages come
//! again, and every reader has to bear that.
//!
//! Invariant: an answer is dropped once its consumer is known to be gone. Its successor numbers its
//! messages from the start, and the answer would hit another message.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use amends_contract::{Origin, Part, Timestamp, header};
use async_nats::{HeaderMap, HeaderValue, Message, Subject, jetstream::AckKind};
use bytes::Bytes;
use metrics::{Counter, counter};
use tokio::sync::{mpsc, oneshot};

use crate::{config::ms, jitter, link::CurrentLink, meter};

/// A delivered message. It comes again after `ack_wait_ms` unless it is acknowledged.
#[derive(Clone)]
pub struct Delivery {
    /// The subject it was published on.
    pub subject: String,
    /// The body: the whole message.
    pub body: Bytes,
    /// Its number in the stream.
    pub stream_seq: u64,
    /// How often it has been delivered, this time included; above 1 it may have been handled before.
    pub delivered: u64,
    /// When the broker stored it, by the broker's clock.
    pub stored_at: Timestamp,
    headers: Option<HeaderMap>,
    answers: Option<Answers>,
}

impl Delivery {
    /// A delivery that came from no broker, for tests: answers to it go nowhere.
    #[must_use]
    pub fn detached(subject: &str, body: Bytes) -> Self {
        Self {
            subject: subject.to_owned(),
            body,
            headers: None,
            stream_seq: 1,
            delivered: 1,
            stored_at: Timestamp::from_unix_ms(0),
            answers: None,
        }
    }

    /// Where a part of it was found, for who sets it aside; `stream` is the one that it lies in.
    #[must_use]
    pub fn origin(&self, stream: String, part: Part) -> Origin<'_> {
        Origin {
            subject: self.subject.clone(),
            stream,
            stream_seq: self.stream_seq,
            headers: self.headers(),
            body: &self.body,
            part,
        }
    }

    /// The same with one more header, for tests.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// Reads what the client hands over; `None` for what is no message of a stream.
    pub(crate) fn read(message: Message, queue: &AckQueue, gone: &Arc<AtomicBool>) -> Option<Self> {
        let reply = message.reply?;
        let address = AckAddress::read(&reply)?;
        let mut delivery = Self::new(&message.subject, message.payload, &address, reply, queue, gone);
        delivery.headers = message.headers;
        Some(delivery)
    }

    /// A delivery without headers.
    pub(crate) fn new(
        subject: &str,
        body: Bytes,
        address: &AckAddress,
        reply: Subject,
        queue: &AckQueue,
        gone: &Arc<AtomicBool>,
    ) -> Self {
        Self {
            subject: subject.to_owned(),
            body,
            headers: None,
            stream_seq: address.stream_seq,
            delivered: address.delivered,
            stored_at: address.stored_at,
            answers: Some(Answers { queue: queue.clone(), gone: Arc::clone(gone), reply }),
        }
    }

    /// Whether it has been delivered before.
    #[must_use]
    pub const fn is_redelivery(&self) -> bool {
        self.delivered > 1
    }

    /// The W3C trace context it came with.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.headers.as_ref()?.get(header::TRACEPARENT).map(HeaderValue::as_str)
    }

    /// The headers, the first value of each. They only help.
    #[must_use]
    pub fn headers(&self) -> BTreeMap<String, String> {
        let headers = self.headers.iter().flat_map(HeaderMap::iter);
        headers.filter_map(|(name, values)| Some((name.to_string(), values.first()?.to_string()))).collect()
    }

    /// Says that it need not come again. Fire and forget: nothing waits, and the answer may get lost.
    pub fn ack(&self) {
        self.answer(AckKind::Ack);
    }

    /// Sends it back, to come again after about `delay_ms` (jittered, at most `nak_delay_max_ms`). For
    /// a shortage of the moment; whatever is expected to take longer belongs into a database.
    pub fn nak_after(&self, delay_ms: u64) {
        let longest = self.answers.as_ref().map_or(0, |answers| answers.queue.nak_delay_max_ms);
        self.answer(AckKind::Nak(Some(ms(jitter::spread(delay_ms.min(longest))))));
    }

    /// Says that it is being worked on: `ack_wait_ms` starts anew.
    pub fn progress(&self) {
        self.answer(AckKind::Progress);
    }

    fn answer(&self, kind: AckKind) {
        if let Some(answers) = &self.answers {
            answers.queue.push(answers.clone_for(kind));
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.subject)
            .field("stream_seq", &self.stream_seq)
            .field("delivered", &self.delivered)
            .field("bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// The subject that a delivery is acknowledged on; it tells where the message comes from. NATS ADR-15:
/// `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>`,
/// the first two and whatever may follow only in the longer form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AckAddress {
    pub(crate) stream_seq: u64,
    pub(crate) delivered: u64,
    pub(crate) stored_at: Timestamp,
}

impl AckAddress {
    const PREFIX: &str = "$JS.ACK.";
    const SHORT_FORM: usize = 7;

    pub(crate) fn is_one(reply: &str) -> bool {
        reply.starts_with(Self::PREFIX)
    }

    fn read(reply: &str) -> Option<Self> {
        let tokens = reply.strip_prefix(Self::PREFIX)?;
        let long = tokens.split('.').count() > Self::SHORT_FORM;
        let mut numbers = tokens.split('.').skip(if long { 4 } else { 2 }).map(str::parse::<i64>);
        let mut number = || u64::try_from(numbers.next()?.ok()?).ok();
        let (delivered, stream_seq, _, nanoseconds) = (number()?, number()?, number()?, number()?);
        let stored_at = Timestamp::from_unix_ms(i64::try_from(nanoseconds / 1_000_000).ok()?);
        Some(Self { stream_seq, delivered, stored_at })
    }

    /// The short form. The server goes by the stream's number alone.
    pub(crate) fn write(&self, stream: &str, consumer: &str) -> Subject {
        let Self { stream_seq, delivered, stored_at } = self;
        let nanoseconds = i128::from(stored_at.unix_ms()) * 1_000_000;
        let prefix = Self::PREFIX;
        Subject::from(format!(
            "{prefix}{stream}.{consumer}.{delivered}.{stream_seq}.{stream_seq}.{nanoseconds}.0"
        ))
    }
}

/// Where the answers to one delivery go.
#[derive(Clone)]
struct Answers {
    reply: Subject,
    queue: AckQueue,
    gone: Arc<AtomicBool>,
}

impl Answers {
    fn clone_for(&self, kind: AckKind) -> Entry {
        Entry::Answer { reply: self.reply.clone(), kind, gone: Arc::clone(&self.gone) }
    }
}

enum Entry {
    Answer { reply: Subject, kind: AckKind, gone: Arc<AtomicBool> },
    Flush(oneshot::Sender<()>),
}

/// The queue of answers of one connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AckQueue {
    sender: mpsc::Sender<Entry>,
    nak_delay_max_ms: u64,
    dropped: Counter,
}

impl AckQueue {
    /// Starts the task that writes the answers; it ends with the last clone of the queue.
    pub(crate) fn start(link: CurrentLink, length_max: usize, nak_delay_max_ms: u64) -> Self {
        let (sender, receiver) = mpsc::channel(length_max.max(1));
        tokio::spawn(write(link, receiver));
        Self { sender, nak_delay_max_ms, dropped: counter!(meter::ACKS_DROPPED) }
    }

    /// Waits until everything queued so far has been handed to the connection.
    pub(crate) async fn flush(&self) {
        let (done, waiter) = oneshot::channel();
        if self.sender.send(Entry::Flush(done)).await.is_ok() {
            let _ = waiter.await;
        }
    }

    fn push(&self, entry: Entry) {
        if self.sender.try_send(entry).is_err() {
            self.dropped.increment(1);
        }
    }
}

async fn write(link: CurrentLink, mut receiver: mpsc::Receiver<Entry>) {
    /// Answers taken from the queue at once.
    const CHUNK: usize = 256;
    let (acked, naked) = (counter!(meter::ACKED), counter!(meter::NAKED));
    let dropped = counter!(meter::ACKS_DROPPED);
    let mut entries = Vec::with_capacity(CHUNK);
    while receiver.recv_many(&mut entries, CHUNK).await > 0 {
        let link = link.get();
        for entry in entries.drain(..) {
            let (reply, kind, gone) = match entry {
                Entry::Answer { reply, kind, gone } => (reply, kind, gone),
                Entry::Flush(done) => {
                    let _ = done.send(());
                    continue;
                }
            };
            if gone.load(Ordering::Acquire) || link.client.publish(reply, kind.into()).await.is_err() {
                dropped.increment(1);
                continue;
            }
            match kind {
                AckKind::Ack => acked.increment(1),
                AckKind::Nak(_) => naked.increment(1),
                AckKind::Progress | AckKind::Next | AckKind::Term => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_ack_subject_are_read() {
        let address =
            |stream_seq, delivered| Some(AckAddress { stream_seq, delivered, stored_at: STORED_AT });
        const STORED_AT: Timestamp = Timestamp::from_unix_ms(1_790_230_470_084);
        let tail = "1790230470084404000.42";
        assert_eq!(AckAddress::read(&format!("$JS.ACK.S.c.3.100.7.{tail}")), address(100, 3));
        assert_eq!(AckAddress::read(&format!("$JS.ACK._.hash.S.c.3.100.7.{tail}")), address(100, 3));
        assert_eq!(AckAddress::read(&format!("$JS.ACK.hub.hash.S.c.1.2.3.{tail}.token")), address(2, 1));
        let written = address(100, 2).unwrap().write("S", "c");
        assert_eq!(written.as_str(), "$JS.ACK.S.c.2.100.100.1790230470084000000.0");
        assert_eq!(AckAddress::read(&written), address(100, 2));
    }

    #[test]
    fn other_subjects_are_no_addresses() {
        for subject in ["", "_INBOX.x.1", "$JS.ACK.", "$JS.ACK.S.c.1.2.3", "$JS.ACK.S.c.1.-2.3.4.5"] {
            assert_eq!(AckAddress::read(subject), None, "{subject}");
        }
    }
}
