//! A body of one message or of several: a JSON array is a batch, each element of which stands or falls alone.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md#4-json-batch-format>
//!
//! Invariant: an element that is an object is read as the same text alone would be, and its part of the body is that
//! text. (What is no JSON as a whole has no elements.)

use serde_json::value::RawValue;

use crate::envelope::shortened;
use crate::{BATCH_COUNT_MAX, DecodeError, ENVELOPE_BYTES_MAX, Envelope};

/// A message that was looked for in a body.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// Where in the body it stands.
    pub part: Part,
    /// The message, or what is wrong with it.
    pub envelope: Result<Envelope, DecodeError>,
}

/// Which part of a body a message is: all of it, or an element of the batch that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part(Option<Element>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Element {
    number: u32,
    start: usize,
    end: usize,
}

impl Part {
    /// All of a body.
    pub const WHOLE: Self = Self(None);

    /// Which element of the batch it is, from 0; `None` for all of a body.
    #[must_use]
    pub fn element(self) -> Option<u32> {
        self.0.map(|element| element.number)
    }

    /// Its text in the body that it was found in; nothing in a body that is shorter.
    #[must_use]
    pub fn of(self, body: &[u8]) -> &[u8] {
        match self.0 {
            None => body,
            Some(Element { start, end, .. }) => body.get(start..end).unwrap_or_default(),
        }
    }
}

/// Whether a body is a batch: it begins with `[`.
#[must_use]
pub fn is_batch(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"[")
}

/// Reads a message or a batch of them.
///
/// # Errors
/// [`DecodeError`] when the body as a whole cannot be read.
pub fn decode_batch(body: &[u8]) -> Result<Vec<Decoded>, DecodeError> {
    if !is_batch(body) {
        return Envelope::decode(body)
            .map(|envelope| vec![Decoded { part: Part::WHOLE, envelope: Ok(envelope) }]);
    }
    if body.len() > ENVELOPE_BYTES_MAX {
        return Err(DecodeError::TooLarge { found: body.len() });
    }
    let elements = serde_json::from_slice::<Vec<&RawValue>>(body)
        .map_err(|error| DecodeError::NotJson(shortened(&error.to_string())))?;
    if elements.len() > BATCH_COUNT_MAX {
        let why = format!("the batch has {} messages; at most {BATCH_COUNT_MAX} are read", elements.len());
        return Err(DecodeError::NotAnEnvelope(why));
    }
    let decoded = |(number, raw): (u32, &RawValue)| {
        let text = raw.get().as_bytes();
        // It lies in the body.
        let start = text.as_ptr().addr() - body.as_ptr().addr();
        let part = Part(Some(Element { number, start, end: start + text.len() }));
        Decoded { part, envelope: decode(text) }
    };
    Ok((0..).zip(elements).map(decoded).collect())
}

fn decode(element: &[u8]) -> Result<Envelope, DecodeError> {
    if element.first() != Some(&b'{') {
        return Err(DecodeError::NotAnEnvelope("an element of the batch is not an object".to_owned()));
    }
    Envelope::decode(element)
}
