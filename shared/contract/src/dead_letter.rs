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
    DEAD_BODY_BYTES_MAX, DEAD_ELEMENTS_MAX, DEAD_HEADER_BYTES_MAX, DecodeError, Decoded, Digest, Envelope,
    Part, Stream, Timestamp, Token, decode_batch, header,
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
    /// Which element of a batch it was, from 0; `None` when the letter is about a whole body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<u32>,
    /// Its headers (of an element only the trace, for the others are the batch's); of several values under one
    /// name the first, and in all at most [`DEAD_HEADER_BYTES_MAX`].
    pub headers: BTreeMap<String, String>,
    /// The body (or its beginning, see `body_bytes`) in base64.
    pub body_base64: String,
    /// Size of the whole body in bytes; more than [`DEAD_BODY_BYTES_MAX`] means it was cut.
    pub body_bytes: usize,
    /// Digest of the whole body.
    pub body_digest: Digest,
}

/// What is set aside, and where it was found.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// The subject it came on.
    pub subject: String,
    /// The stream it lay in.
    pub stream: String,
    /// Its sequence there.
    pub stream_seq: u64,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
    /// The whole body.
    pub body: &'a [u8],
    /// The part of the body that is set aside.
    pub part: Part,
}

/// Something about a part of a body.
pub type OfPart<T> = (Part, T);

/// Reads a body, a batch or not, and parts what is understood from what is to be set aside: each message for itself,
/// or, where that were too many, the whole body once. `understand` is given each message with its text.
pub fn sift<T>(
    body: &[u8],
    understand: impl Fn(Envelope, &[u8]) -> Result<T, DeadReason>,
) -> (Vec<OfPart<T>>, Vec<OfPart<DeadReason>>) {
    let (mut understood, mut reasons) = (Vec::new(), Vec::new());
    match decode_batch(body) {
        Ok(messages) => {
            for Decoded { part, envelope } in messages {
                let envelope = envelope.map_err(|error| DeadReason::from(&error));
                match envelope.and_then(|envelope| understand(envelope, part.of(body))) {
                    Ok(meaning) => understood.push((part, meaning)),
                    Err(reason) => reasons.push((part, reason)),
                }
            }
        }
        Err(error) => reasons.push((Part::WHOLE, DeadReason::from(&error))),
    }
    if reasons.len() > DEAD_ELEMENTS_MAX {
        let more = reasons.len() - 1;
        reasons.truncate(1);
        if let [(part, reason)] = reasons.as_mut_slice() {
            *part = Part::WHOLE;
            reason.message = format!("{} (and {more} more of the batch)", reason.message);
        }
    }
    (understood, reasons)
}

impl DeadLetter {
    /// Sets aside what was found there. Texts lose what a reader would refuse (U+0000) and what could make the
    /// letter too large to be sent.
    #[must_use]
    pub fn new(participant: Token, at: Timestamp, reason: DeadReason, origin: Origin<'_>) -> Self {
        let Origin { subject, stream, stream_seq, mut headers, body, part } = origin;
        let body = part.of(body);
        if part.element().is_some() {
            headers.retain(|name, _| name.eq_ignore_ascii_case(header::TRACEPARENT));
        }
        Self {
            participant,
            at,
            reason: DeadReason { code: clean(&reason.code), message: clean(&reason.message) },
            subject: clean(&subject),
            stream,
            stream_seq,
            element: part.element(),
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
        let Self { participant, stream, stream_seq, .. } = self;
        match self.element {
            None => format!("{participant}/{stream}/{stream_seq}"),
            Some(number) => format!("{participant}/{stream}/{stream_seq}/{number}"),
        }
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
