//! Dead letters: messages nobody could read or route, kept with their reason.
//!
//! Invariant: nothing is set aside silently, nothing of a body that fits is lost, and a dead letter can
//! always be sent and read, whatever the message was.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Serialize};

use crate::attributes::Attributes;
use crate::envelope::{cut, parse, parse_data};
use crate::{
    DEAD_BODY_BYTES_MAX, DEAD_HEADER_BYTES_MAX, DecodeError, Digest, Envelope, Stream, Timestamp, Token,
};

/// Why a message was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadReason {
    /// Stable and machine-readable: a [`DecodeError::code`], `unroutable`, `poison`.
    pub code: String,
    /// For people.
    pub message: String,
}

impl From<&DecodeError> for DeadReason {
    fn from(error: &DecodeError) -> Self {
        Self { code: error.code().to_owned(), message: error.to_string() }
    }
}

/// A message that was set aside, with all that is needed to send it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Who set it aside.
    pub participant: Token,
    /// When the reader first saw it.
    pub at: Timestamp,
    /// Why.
    pub reason: DeadReason,
    /// The subject it came on.
    pub subject: String,
    /// The stream it lay in.
    pub stream: String,
    /// Its sequence there.
    pub stream_seq: u64,
    /// Its headers; of several values under one name the first, and in all at most
    /// [`DEAD_HEADER_BYTES_MAX`].
    pub headers: BTreeMap<String, String>,
    /// The body (or its beginning, see `body_bytes`) in base64.
    pub body_base64: String,
    /// Size of the whole body in bytes; more than [`DEAD_BODY_BYTES_MAX`] means it was cut.
    pub body_bytes: usize,
    /// Digest of the whole body.
    pub body_digest: Digest,
}

impl DeadLetter {
    /// Sets aside `body`; the pair is stream and sequence. Texts lose what a reader would refuse (U+0000)
    /// and what could make the letter too large to be sent.
    #[must_use]
    pub fn new(
        participant: Token,
        at: Timestamp,
        reason: DeadReason,
        (stream, stream_seq): (String, u64),
        subject: String,
        headers: BTreeMap<String, String>,
        body: &[u8],
    ) -> Self {
        Self {
            participant,
            at,
            reason: DeadReason { code: clean(&reason.code), message: clean(&reason.message) },
            subject: clean(&subject),
            stream,
            stream_seq,
            headers: some_of(headers),
            body_base64: BASE64.encode(&body[..body.len().min(DEAD_BODY_BYTES_MAX)]),
            body_bytes: body.len(),
            body_digest: Digest::of(body),
        }
    }

    /// The kept bytes of the body; all of it if `body_bytes` says so.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] when the base64 is damaged.
    pub fn body(&self) -> Result<Vec<u8>, DecodeError> {
        BASE64
            .decode(&self.body_base64)
            .map_err(|error| DecodeError::Invalid { name: "body_base64", why: error.to_string() })
    }

    /// The same message set aside twice has the same id.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.participant, self.stream, self.stream_seq)
    }

    /// The envelope.
    #[must_use]
    pub fn to_envelope(&self) -> Envelope {
        let data = serde_json::to_value(self).unwrap_or_else(|_| unreachable!("a dead letter is plain JSON"));
        let message_type = format_args!("{}.{}", Stream::Dead.token(), self.participant);
        Attributes::new(&self.id(), &self.participant, &message_type, self.at, &data.into()).to_envelope()
    }

    /// Reads a dead letter out of an envelope.
    ///
    /// # Errors
    /// [`DecodeError`] names the attribute that is missing or wrong.
    pub fn from_envelope(envelope: Envelope) -> Result<Self, DecodeError> {
        match envelope.message_type.split_once('.') {
            Some((kind, participant)) if kind == Stream::Dead.token() => {
                parse::<Token>(participant, "type")?;
            }
            _ => {
                let why = "it is not dead.<participant>".to_owned();
                return Err(DecodeError::Invalid { name: "type", why });
            }
        }
        parse_data(&envelope.data)
    }
}

/// No longer than a text for people has to be, and without U+0000.
fn clean(text: &str) -> String {
    cut(text).replace('\0', "\u{fffd}")
}

/// The headers that fit, in the order of their names.
fn some_of(headers: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut left = DEAD_HEADER_BYTES_MAX;
    headers
        .into_iter()
        .filter(|(name, value)| match left.checked_sub(name.len() + value.len()) {
            Some(rest) => {
                left = rest;
                true
            }
            None => false,
        })
        .map(|(name, value)| (name.replace('\0', "\u{fffd}"), value.replace('\0', "\u{fffd}")))
        .collect()
}
