//! Reading through a stream without a consumer: a range of stored messages, a page at a time.
//!
//! The server's batched direct get (nats-server 2.11, ADR-31) keeps no state for it.
//!
//! Invariant: nothing here changes anything at the broker, and no page is larger than the connection's buffer.

use amends_contract::{Stream, Timestamp};
use async_nats::{HeaderMap, Message, StatusCode, jetstream::message::StreamMessage};
use bytes::Bytes;
use futures::StreamExt as _;
use serde_json::json;
use tokio::time::timeout;

use crate::{Broker, Error, StoredMessage, config::ms, inspect::stored};

/// Messages asked for at once: far less than a subscription buffers.
const PAGE: u64 = 512;

/// Where a scan begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanFrom {
    /// With the first message of this number or a later one.
    Seq(u64),
    /// With the first message that was stored at this moment or later.
    Time(Timestamp),
}

/// Which messages of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The stream.
    pub stream: Stream,
    /// Where to begin.
    pub from: ScanFrom,
    /// Stop at the first message that was stored later than this.
    pub until: Option<Timestamp>,
    /// Only on this subject, wildcards allowed; `None` is all of the stream.
    pub subject: Option<String>,
    /// Look at so many at most.
    pub count_max: u64,
}

/// How far a scan came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Scanned {
    /// So many messages were looked at.
    pub count: u64,
    /// Where to go on; `None` when there was nothing more.
    pub next_seq: Option<u64>,
}

impl Broker {
    /// Shows each message of the range to `see`, in the stream's order, until that says to stop by `false`.
    ///
    /// In a cluster any replica answers, so the newest messages may be missing for a moment.
    ///
    /// # Errors
    /// When the broker is away, does not answer or refuses, or has no such stream; some messages may have been
    /// seen then.
    pub async fn scan(
        &self,
        scan: &Scan,
        mut see: impl FnMut(StoredMessage) -> bool,
    ) -> Result<Scanned, Error> {
        let mut scanned = Scanned::default();
        let mut from = scan.from;
        loop {
            let page = self.page(scan, from, PAGE.min(scan.count_max - scanned.count)).await?;
            for message in page.messages {
                if scan.until.is_some_and(|until| message.stored_at > until) {
                    return Ok(Scanned { next_seq: None, ..scanned });
                }
                scanned.count += 1;
                let next = message.seq + 1;
                from = ScanFrom::Seq(next);
                if !see(message) {
                    return Ok(Scanned { next_seq: Some(next), ..scanned });
                }
            }
            match (page.more, from) {
                (false, _) => return Ok(scanned),
                (true, ScanFrom::Seq(next)) if scanned.count >= scan.count_max => {
                    return Ok(Scanned { next_seq: Some(next), ..scanned });
                }
                (true, _) => {}
            }
        }
    }

    async fn page(&self, scan: &Scan, from: ScanFrom, count: u64) -> Result<Page, Error> {
        if !self.core.is_connected() {
            return Err(Error::Unavailable("not connected".to_owned()));
        }
        let subject = scan.subject.clone().unwrap_or_else(|| self.names().all(scan.stream));
        let mut question = json!({ "batch": count, "next_by_subj": subject });
        match from {
            ScanFrom::Seq(seq) => question["seq"] = json!(seq.max(1)),
            ScanFrom::Time(at) => question["start_time"] = json!(at),
        }
        let client = self.core.link().client.clone();
        let unavailable = |error: &dyn std::fmt::Display| Error::Unavailable(error.to_string());
        let inbox = client.new_inbox();
        let mut answers = client.subscribe(inbox.clone()).await.map_err(|error| unavailable(&error))?;
        let api = format!("$JS.API.DIRECT.GET.{}", self.names().stream(scan.stream));
        let asked = client.publish_with_reply(api, inbox, Bytes::from(question.to_string())).await;
        asked.map_err(|error| unavailable(&error))?;
        let patience_ms = self.core.config.request_timeout_ms;
        let mut page = Page { messages: Vec::new(), more: false };
        loop {
            let answer = timeout(ms(patience_ms), answers.next()).await;
            let answer = answer.map_err(|_| Error::TimedOut(patience_ms))?;
            let answer = answer.ok_or_else(|| unavailable(&"the connection was closed"))?;
            match Answer::of(answer)? {
                Answer::Message(message) => page.messages.push(*message),
                Answer::End { more } => {
                    page.more = more && !page.messages.is_empty();
                    return Ok(page);
                }
            }
        }
    }
}

struct Page {
    messages: Vec<StoredMessage>,
    more: bool,
}

/// One answer to a batched direct get.
enum Answer {
    Message(Box<StoredMessage>),
    End { more: bool },
}

impl Answer {
    fn of(message: Message) -> Result<Self, Error> {
        match message.status {
            None | Some(StatusCode::OK) => {
                let message =
                    StreamMessage::try_from(message).map_err(|error| Error::Answer(error.to_string()))?;
                let mut message = stored(message);
                message.headers.retain(|(name, _)| !OF_THE_ANSWER.contains(&name.as_str()));
                Ok(Self::Message(Box::new(message)))
            }
            // "EOB": the end of the batch, with how many more there are.
            Some(status) if status.as_u16() == 204 => {
                Ok(Self::End { more: number(message.headers.as_ref(), "Nats-Num-Pending") > 0 })
            }
            Some(StatusCode::NOT_FOUND) => Ok(Self::End { more: false }),
            Some(StatusCode::NO_RESPONDERS) => {
                Err(Error::Unavailable("the stream is missing, or not ready yet".to_owned()))
            }
            Some(status) => {
                let text = message.description.unwrap_or_default();
                Err(Error::Answer(format!("{status}: {text}")))
            }
        }
    }
}

/// Headers that the server adds to a message that it gives directly.
const OF_THE_ANSWER: [&str; 7] = [
    "Nats-Stream",
    "Nats-Subject",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Num-Pending",
    "Nats-Last-Sequence",
    "Nats-UpTo-Sequence",
];

fn number(headers: Option<&HeaderMap>, name: &str) -> u64 {
    headers.and_then(|headers| headers.get(name)?.as_str().parse().ok()).unwrap_or_default()
}
