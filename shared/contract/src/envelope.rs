//! The envelope: CloudEvents 1.0 in structured JSON mode.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>
//! An [`Envelope`] is the message as it stands on the wire; [`Command`](crate::Command),
//! [`Reply`](crate::Reply), [`Event`](crate::Event) and [`DeadLetter`](crate::DeadLetter) are what it means.
//!
//! Invariant: decoding checks the whole message and names the first thing that is wrong; it never panics.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{DATA_DEPTH_MAX, ENVELOPE_BYTES_MAX, Json, Timestamp, is_batch};

/// Media type of one message.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// Media type of a JSON array of messages; every reader accepts it.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// The version of CloudEvents that we write and read.
pub(crate) const SPEC_VERSION: &str = "1.0";

/// Media type of `data`.
pub(crate) const DATA_CONTENT_TYPE: &str = "application/json";

/// A message as it stands on the wire. Attributes we do not know are ignored, as CloudEvents asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// Unique among all messages of the `source`.
    pub id: String,
    /// Who sends: `orchestrator` or a participant's name.
    pub source: String,
    /// The subject without its prefix.
    #[serde(rename = "type")]
    pub message_type: String,
    /// When the effect was first decided: the same in all sends.
    pub time: Timestamp,
    /// Always `application/json` where there is data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacontenttype: Option<String>,
    /// Extension: the saga.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sagaid: Option<String>,
    /// Extension: its step, with the index of a `for_each`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sagastep: Option<String>,
    /// Extension: its definition, such as `order.v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sagadefinition: Option<String>,
    /// Extension: what the command does, or the reply answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effectid: Option<String>,
    /// Extension: which sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sendno: Option<String>,
    /// Extension, on an undo: the effect id of the action it undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Extension, on a reply: stream sequence of the command that made the effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causeseq: Option<String>,
    /// Extension, on a reply: how often the broker had delivered that command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causedelivery: Option<String>,
    /// The payload.
    #[serde(default)]
    pub data: Json,
}

/// Why bytes are not a message of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Larger than any message may be.
    #[error("the message has {found} bytes; at most {ENVELOPE_BYTES_MAX} are read")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// Not JSON at all, or nested too deep.
    #[error("the body is not JSON: {0}")]
    NotJson(String),
    /// JSON, but not a CloudEvents envelope: an attribute is missing or of a wrong type.
    #[error("the body is not a CloudEvents envelope: {0}")]
    NotAnEnvelope(String),
    /// A CloudEvents version that we do not know.
    #[error("specversion {found:?} is unknown; {SPEC_VERSION:?} is read")]
    UnknownVersion {
        /// What it says.
        found: String,
    },
    /// An attribute is missing that this type of message needs.
    #[error("attribute {name:?} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// An attribute does not say what it must.
    #[error("attribute {name:?}: {why}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// `data` is nested too deep to be stored and read back.
    #[error("data is nested more than {DATA_DEPTH_MAX} levels deep")]
    TooDeep,
    /// A string contains U+0000, which databases cannot store as text.
    #[error("the message contains the character U+0000 in {place}")]
    NulCharacter {
        /// JSON pointer of the string, or the name of the attribute.
        place: String,
    },
}

impl DecodeError {
    /// A short fixed name of the kind, for metrics and dead letters.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::NotJson(_) => "not-json",
            Self::NotAnEnvelope(_) => "not-an-envelope",
            Self::UnknownVersion { .. } => "unknown-version",
            Self::Missing { .. } => "missing-attribute",
            Self::Invalid { .. } => "invalid-attribute",
            Self::TooDeep => "too-deep",
            Self::NulCharacter { .. } => "nul-character",
        }
    }
}

impl Envelope {
    /// The bytes for the wire.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_else(|_| unreachable!("strings and JSON values always encode"))
    }

    /// Whether its readers would take a message that was just encoded.
    ///
    /// # Errors
    /// [`DecodeError`] says why not.
    pub fn check_encoded(body: &[u8]) -> Result<(), DecodeError> {
        match body.len() > ENVELOPE_BYTES_MAX || may_be_odd(body) {
            true => Self::decode(body).map(drop),
            false => Ok(()),
        }
    }

    /// Reads one message.
    ///
    /// # Errors
    /// [`DecodeError`] names the first thing that is wrong.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        if body.len() > ENVELOPE_BYTES_MAX {
            return Err(DecodeError::TooLarge { found: body.len() });
        }
        if is_batch(body) {
            // Serde would take a list of values for the attributes in their order.
            let why = "a batch stands where one message is expected";
            return Err(DecodeError::NotAnEnvelope(why.to_owned()));
        }
        let envelope = serde_json::from_slice::<Self>(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => not_an_envelope(serde_json::from_slice(body).ok(), &error),
            _ => DecodeError::NotJson(shortened(&error.to_string())),
        })?;
        envelope.check_version()?;
        if may_be_odd(body) {
            envelope.check()?;
        }
        Ok(envelope)
    }

    fn check_version(&self) -> Result<(), DecodeError> {
        match &*self.specversion {
            SPEC_VERSION => Ok(()),
            other => Err(unknown_version(other)),
        }
    }

    /// That everything can be stored and read back.
    fn check(&self) -> Result<(), DecodeError> {
        // The other attributes are parsed into types that have no NUL.
        if self.id.contains('\0') {
            return Err(DecodeError::NulCharacter { place: "id".to_owned() });
        }
        if is_deeper_than(DATA_DEPTH_MAX, &self.data) {
            return Err(DecodeError::TooDeep);
        }
        match nul_in(&self.data) {
            None => Ok(()),
            Some(place) => Err(DecodeError::NulCharacter { place: shortened(&format!("/data{place}")) }),
        }
    }
}

/// What can be read even of a message whose other attributes we do not understand.
#[derive(Deserialize)]
struct Version {
    specversion: String,
}

/// A message of another version may have any other shape, so its version is what is wrong with it.
fn not_an_envelope(version: Option<Version>, error: &serde_json::Error) -> DecodeError {
    match version {
        Some(version) if version.specversion != SPEC_VERSION => unknown_version(&version.specversion),
        _ => DecodeError::NotAnEnvelope(shortened(&error.to_string())),
    }
}

fn unknown_version(found: &str) -> DecodeError {
    DecodeError::UnknownVersion { found: found.chars().take(40).collect() }
}

/// Serde's errors quote what they did not expect, however long it is and whatever is in it; a dead letter has to carry
/// the error besides the body, and in a log it is one line.
pub(crate) fn shortened(message: &str) -> String {
    let mut line = String::new();
    for character in cut(message).chars() {
        match character.is_control() {
            true => line.extend(character.escape_default()),
            false => line.push(character),
        }
    }
    line
}

/// The beginning of a text that is too long for people.
pub(crate) fn cut(text: &str) -> String {
    const CHARACTERS_MAX: usize = 500;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether a message may contain a NUL, which JSON has to escape, or more levels than can be. Most do not, at a glance.
fn may_be_odd(body: &[u8]) -> bool {
    let openings = body.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    openings > DATA_DEPTH_MAX || str::from_utf8(body).map_or(true, |text| text.contains("\\u0000"))
}

fn is_deeper_than(levels: usize, value: &Value) -> bool {
    let is_deeper = |inner: &Value| levels == 0 || is_deeper_than(levels - 1, inner);
    match value {
        Value::Array(items) => items.iter().any(is_deeper),
        Value::Object(map) => map.values().any(is_deeper),
        _ => false,
    }
}

/// JSON pointer of the first string or key with a NUL in it. Recursion is bounded by serde_json's own
/// limit of 128 levels.
fn nul_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(i, item)| nul_in(item).map(|place| format!("/{i}{place}")))
        }
        Value::Object(map) => map.iter().find_map(|(key, item)| {
            if key.contains('\0') {
                return Some(format!("/{}", key.replace('\0', "\\u0000")));
            }
            nul_in(item).map(|place| format!("/{key}{place}"))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The value of an extension attribute, or the error that names it.
pub(crate) fn required<'a>(value: Option<&'a String>, name: &'static str) -> Result<&'a str, DecodeError> {
    value.map(String::as_str).ok_or(DecodeError::Missing { name })
}

/// Parses an attribute, naming it in the error.
pub(crate) fn parse<T>(text: &str, name: &'static str) -> Result<T, DecodeError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    text.parse().map_err(|error: T::Err| DecodeError::Invalid { name, why: shortened(&error.to_string()) })
}

/// Parses a counter that is written as a string: digits, and nothing else.
pub(crate) fn parse_number<T: std::str::FromStr>(text: &str, name: &'static str) -> Result<T, DecodeError> {
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| DecodeError::Invalid {
        name,
        why: format!("{:?} is not a whole number in a string", text.chars().take(40).collect::<String>()),
    })
}

/// Parses `sendno`.
pub(crate) fn parse_send_no(value: Option<&String>) -> Result<u32, DecodeError> {
    match parse_number(required(value, "sendno")?, "sendno")? {
        0 => Err(DecodeError::Invalid { name: "sendno", why: "sends count from 1".to_owned() }),
        send_no => Ok(send_no),
    }
}

/// Reads `data` as what this type of message carries: always an object.
pub(crate) fn parse_data<T: serde::de::DeserializeOwned>(data: &Value) -> Result<T, DecodeError> {
    let invalid = |why: &str| DecodeError::Invalid { name: "data", why: shortened(why) };
    if !data.is_object() {
        // Serde would take a list of values for the fields in their order.
        return Err(invalid("it is not an object"));
    }
    T::deserialize(data).map_err(|error| invalid(&error.to_string()))
}
