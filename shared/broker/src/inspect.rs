//! Questions about streams and consumers, for readiness checks, for the outbox, for people.
//!
//! Invariant: nothing here changes anything at the broker.

use amends_contract::{Stream, Timestamp};
pub(crate) use async_nats::jetstream::stream::RawMessage;
use async_nats::jetstream::{ErrorCode, account::Account, message::StreamMessage, stream::Info};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::{Broker, Error, broker::Core};

/// What identifies a stream's content: a stream created again has another `created_at`, one that lost
/// its end another `last_seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition {
    /// When the stream was created.
    pub created_at: Timestamp,
    /// Number of the newest message, also when it is gone; 0 in a stream that never had one.
    pub last_seq: u64,
    /// Messages stored now.
    pub messages: u64,
    /// Their size, in bytes.
    pub bytes: u64,
}

/// One stream, for lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// Which one.
    pub stream: Stream,
    /// Its name.
    pub name: String,
    /// Its content; `None` when the stream does not exist.
    pub position: Option<StreamPosition>,
    /// Number of the oldest message stored.
    pub first_seq: u64,
    /// How many consumers read it.
    pub consumers: usize,
}

/// How far a consumer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// When it was created: it may begin there, and know nothing of what was stored before.
    pub created_at: Timestamp,
    /// Pull requests that wait at the broker: 0 means that nobody is reading.
    pub waiting: usize,
    /// Messages not delivered yet.
    pub pending: u64,
    /// Messages delivered and not acknowledged yet.
    pub ack_pending: usize,
    /// Messages that were delivered more than once and are not acknowledged yet.
    pub redelivered: usize,
    /// Number of the newest message delivered.
    pub delivered_seq: u64,
    /// All messages up to this number are acknowledged.
    pub acked_seq: u64,
    /// For how long nothing is delivered because somebody paused it, in milliseconds; 0 when nobody did.
    pub paused_ms: u64,
    /// Until when, by the broker's clock; `None` when nobody did, or that time is over.
    pub paused_until: Option<Timestamp>,
}

/// A message as it lies in a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The subject it was published on.
    pub subject: String,
    /// Its number.
    pub seq: u64,
    /// When the broker stored it.
    pub stored_at: Timestamp,
    /// The headers, all values; none when they cannot be read.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Proof that `JetStream` answers for our account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Streams of the account, ours and others'.
    pub streams: usize,
    /// Bytes the account has stored.
    pub store_bytes: u64,
    /// Bytes it may store, where that is limited.
    pub store_bytes_max: Option<u64>,
}

impl Broker {
    /// Asks `JetStream` whether it works for us: the account's state, and each of our streams. After a
    /// full disk the server switches `JetStream` off, which shows here, although its own health page
    /// stays green.
    ///
    /// It does not publish: a message only for that would lie in a stream and be read by everybody. That
    /// publishing fails is noted by whoever publishes, and shows in [`Broker::health`].
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no connection, no `JetStream`, or a stream is missing.
    pub async fn probe(&self) -> Result<Probe, Error> {
        let account: Account = self.core.ask("INFO".to_owned(), &json!({})).await?;
        for stream in Stream::ALL {
            if self.core.stream_info(stream).await?.is_none() {
                return Err(Error::Unavailable(format!("stream {} is missing", self.names().stream(stream))));
            }
        }
        Ok(Probe {
            streams: account.streams,
            store_bytes: account.storage,
            store_bytes_max: account.limits.max_storage.and_then(|bytes| u64::try_from(bytes).ok()),
        })
    }

    /// What identifies the stream's content; `None` when it does not exist.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn stream_position(&self, stream: Stream) -> Result<Option<StreamPosition>, Error> {
        Ok(self.core.stream_info(stream).await?.as_ref().map(position))
    }

    /// Number of the newest message of a stream; `None` when the stream does not exist.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn last_seq(&self, stream: Stream) -> Result<Option<u64>, Error> {
        Ok(self.stream_position(stream).await?.map(|position| position.last_seq))
    }

    /// All four streams.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn streams(&self) -> Result<Vec<StreamSummary>, Error> {
        let mut summaries = Vec::with_capacity(Stream::ALL.len());
        for stream in Stream::ALL {
            let info = self.core.stream_info(stream).await?;
            summaries.push(StreamSummary {
                stream,
                name: self.names().stream(stream),
                position: info.as_ref().map(position),
                first_seq: info.as_ref().map_or(0, |info| info.state.first_sequence),
                consumers: info.as_ref().map_or(0, |info| info.state.consumer_count),
            });
        }
        Ok(summaries)
    }

    /// How far a consumer is; `None` when it, or its stream, does not exist.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn consumer_status(
        &self,
        stream: Stream,
        durable: &str,
    ) -> Result<Option<ConsumerStatus>, Error> {
        Ok(self.core.consumer_info(stream, durable).await?.map(|info| ConsumerStatus {
            created_at: info.created.into(),
            waiting: info.num_waiting,
            pending: info.num_pending,
            ack_pending: info.num_ack_pending,
            redelivered: info.num_redelivered,
            delivered_seq: info.delivered.stream_sequence,
            acked_seq: info.ack_floor.stream_sequence,
            paused_ms: info
                .pause_remaining
                .filter(|_| info.paused)
                .map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1)),
            paused_until: info.config.pause_until.filter(|_| info.paused).map(Timestamp::from),
        }))
    }

    /// One stored message by its number; `None` when it, or the stream, does not exist. Read from the
    /// stream's leader, so that it is there as soon as its publishing was acknowledged.
    ///
    /// # Errors
    /// When the broker is away or does not answer.
    pub async fn message(&self, stream: Stream, seq: u64) -> Result<Option<StoredMessage>, Error> {
        match self.core.raw_message(stream, &json!({ "seq": seq })).await? {
            None => Ok(None),
            Some(raw) => match StreamMessage::try_from(raw.clone()) {
                Ok(message) => Ok(Some(stored(message))),
                Err(_) => without_headers(raw).map(|message| Some(stored(message))),
            },
        }
    }
}

impl Core {
    /// A message as the API answers it; `None` when it, or the stream, does not exist.
    pub(crate) async fn raw_message(
        &self,
        stream: Stream,
        query: &serde_json::Value,
    ) -> Result<Option<RawMessage>, Error> {
        #[derive(Deserialize)]
        struct Found {
            message: RawMessage,
        }
        let missing =
            [ErrorCode::NO_MESSAGE_FOUND, ErrorCode::SEQUENCE_NOT_FOUND, ErrorCode::STREAM_NOT_FOUND];
        match self.ask::<Found>(format!("STREAM.MSG.GET.{}", self.names.stream(stream)), query).await {
            Ok(found) => Ok(Some(found.message)),
            Err(error) if missing.iter().any(|code| error.is(*code)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The message, its headers left away.
pub(crate) fn without_headers(raw: RawMessage) -> Result<StreamMessage, Error> {
    let seq = raw.sequence;
    StreamMessage::try_from(RawMessage { headers: None, ..raw })
        .map_err(|error| Error::Answer(format!("message {seq}: {error}")))
}

fn position(info: &Info) -> StreamPosition {
    StreamPosition {
        created_at: info.created.into(),
        last_seq: info.state.last_sequence,
        messages: info.state.messages,
        bytes: info.state.bytes,
    }
}

pub(crate) fn stored(message: StreamMessage) -> StoredMessage {
    let mut headers: Vec<(String, String)> = message
        .headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.to_string(), value.to_string())))
        .collect();
    headers.sort();
    StoredMessage {
        subject: message.subject.to_string(),
        seq: message.sequence,
        stored_at: message.time.into(),
        headers,
        body: message.payload,
    }
}
