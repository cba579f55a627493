//! The messages of a saga: its commands and replies as they lie in their streams.
//!
//! No subject names a saga (the broker would keep state for each), so the streams are read around the moments
//! at which something happened to it, by its journal.
//!
//! Invariant: it only looks; and it says when it has not looked everywhere.

use amends_broker::{Scan, ScanFrom, StoredMessage};
use amends_contract::{Envelope, SagaId, Stream, Timestamp, decode_batch};
use amends_store::Error as StoreError;
use serde_json::Value;

use super::Core;

/// Most lines of a journal whose moments are looked at; a saga has some twenty.
const LINES_MAX: u32 = 1_000;

/// The messages of a saga that were found.
#[derive(Debug)]
pub struct SagaMessages {
    /// In the order in which the broker stored them.
    pub messages: Vec<SagaMessage>,
    /// Whether every moment of the journal was looked at.
    pub complete: bool,
    /// How many messages of all sagas were read for it.
    pub scanned: u64,
}

/// A stored message of a saga.
#[derive(Debug)]
pub struct SagaMessage {
    /// Its stream.
    pub stream: Stream,
    /// Its sequence there.
    pub stream_seq: u64,
    /// Which element of a batch it is; `None` when it travelled alone.
    pub element: Option<u32>,
    /// When it was stored, by the broker's clock.
    pub stored_at: Timestamp,
    /// Its subject.
    pub subject: String,
    /// What it says.
    pub envelope: Envelope,
    /// By replies to it: how often it had been delivered when its effect was made.
    pub deliveries: Option<u64>,
}

/// Why nothing can be said about a saga's messages.
#[derive(Debug, thiserror::Error)]
pub enum MessagesError {
    /// There is no such saga.
    #[error("there is no saga {0}")]
    NotFound(SagaId),
    /// The broker does not answer.
    #[error(transparent)]
    Broker(#[from] amends_broker::Error),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A stretch of time.
type Window = (Timestamp, Timestamp);

impl Core {
    /// The saga's commands and replies. `slack_ms` is how far the broker's clock, or a slow publish, may be away
    /// from the journal's moments; `scan_max` bounds the messages that are read, per stream.
    ///
    /// # Errors
    /// [`MessagesError`].
    pub async fn messages(
        &self,
        id: SagaId,
        slack_ms: u64,
        scan_max: u64,
    ) -> Result<SagaMessages, MessagesError> {
        let journal = self.store.journal(id, 0, LINES_MAX).await?;
        if journal.is_empty() && self.store.saga(id).await?.is_none() {
            return Err(MessagesError::NotFound(id));
        }
        let moments: Vec<Timestamp> =
            journal.iter().filter_map(|row| row.entry.as_ref().ok().map(|entry| entry.at)).collect();
        let mut found = SagaMessages {
            messages: Vec::new(),
            complete: journal.len() < LINES_MAX as usize && moments.len() == journal.len(),
            scanned: 0,
        };
        let windows = windows(&moments, slack_ms);
        for stream in [Stream::Command, Stream::Reply] {
            self.look(id, stream, &windows, scan_max, &mut found).await?;
        }
        found.messages.sort_by_key(|message| (message.stored_at, message.stream, message.stream_seq));
        found.tell_deliveries();
        Ok(found)
    }

    async fn look(
        &self,
        id: SagaId,
        stream: Stream,
        windows: &[Window],
        scan_max: u64,
        found: &mut SagaMessages,
    ) -> Result<(), MessagesError> {
        let text = id.to_string();
        let mut left = scan_max;
        for (from, until) in windows {
            let (from, until) = (ScanFrom::Time(*from), Some(*until));
            let scan = Scan { stream, from, until, subject: None, count_max: left };
            let see = |message: StoredMessage| {
                found.messages.extend(of_saga(&text, stream, &message));
                true
            };
            let scanned = self.broker.scan(&scan, see).await?;
            found.scanned += scanned.count;
            left -= scanned.count.min(left);
            if scanned.next_seq.is_some() || left == 0 {
                found.complete = false;
                return Ok(());
            }
        }
        Ok(())
    }
}

impl SagaMessages {
    /// Replies name the command that made their effect, and its delivery.
    fn tell_deliveries(&mut self) {
        let number = |text: &Option<String>| text.as_ref()?.parse::<u64>().ok();
        let told: Vec<(u64, u64)> = self
            .messages
            .iter()
            .filter_map(|it| Some((number(&it.envelope.causeseq)?, number(&it.envelope.causedelivery)?)))
            .collect();
        for message in self.messages.iter_mut().filter(|it| it.stream == Stream::Command) {
            message.deliveries =
                told.iter().filter(|(seq, _)| *seq == message.stream_seq).map(|(_, count)| *count).max();
        }
    }
}

/// What in a stored message belongs to the saga; usually nothing, told without decoding it.
fn of_saga(id: &str, stream: Stream, message: &StoredMessage) -> Vec<SagaMessage> {
    let mentions = message.body.windows(id.len()).any(|part| part == id.as_bytes());
    let elements = if mentions { decode_batch(&message.body).unwrap_or_default() } else { Vec::new() };
    elements
        .into_iter()
        .filter_map(|decoded| Some((decoded.part, decoded.envelope.ok()?)))
        .filter(|(_, envelope)| envelope.sagaid.as_deref() == Some(id))
        .map(|(part, envelope)| SagaMessage {
            stream,
            stream_seq: message.seq,
            element: part.element(),
            stored_at: message.stored_at,
            subject: message.subject.clone(),
            envelope,
            deliveries: None,
        })
        .collect()
}

/// The outcome that a reply carries.
#[must_use]
pub fn outcome_of(envelope: &Envelope) -> Option<&str> {
    envelope.data.get("outcome").and_then(Value::as_str)
}

/// The time around each moment, without overlaps.
fn windows(moments: &[Timestamp], slack_ms: u64) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    for moment in moments {
        let (from, until) = (moment.minus_ms(slack_ms), moment.plus_ms(slack_ms));
        match windows.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => windows.push((from, until)),
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_do_not_overlap() {
        let at = Timestamp::from_unix_ms;
        assert_eq!(windows(&[], 5), []);
        let found = windows(&[at(100), at(105), at(111), at(200)], 5);
        assert_eq!(found, [(at(95), at(116)), (at(195), at(205))]);
    }
}
