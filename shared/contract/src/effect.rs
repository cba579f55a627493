//! Who and what: sagas, definitions, and the identity of an effect.
//!
//! An effect id is `<saga>/<step>[.<index>]/<do|undo>/<epoch>`. It is the same over all sends, so
//! sending again is always safe; only an operator's new epoch makes another effect.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{Digest, Timestamp, Token, as_text};

/// Identity of a saga: a UUIDv7, so that ids are in time order and carry the moment of their making.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SagaId(Uuid);

impl SagaId {
    /// Takes the UUID.
    ///
    /// # Errors
    /// [`InvalidId`] when it is not of version 7: the expiry rule reads the time inside it.
    pub fn new(uuid: Uuid) -> Result<Self, InvalidId> {
        if uuid.get_version_num() == 7 {
            Ok(Self(uuid))
        } else {
            Err(InvalidId::new("saga id", &uuid.to_string(), "a UUID of version 7"))
        }
    }

    /// The id of the saga that a step of another one is: always the same for the same effect, so that asking
    /// for it twice starts it once. Its time is that of the decision, for the age of a saga is its own.
    #[must_use]
    pub fn derived(effect: &EffectId, decided_at: Timestamp) -> Self {
        const RANDOM_BITS: u128 = (1 << 80) - 1;
        let mut random = [0; 16];
        random.copy_from_slice(&Digest::of(effect.to_string().as_bytes()).as_bytes()[..16]);
        let ms = u128::from(decided_at.unix_ms().max(0).unsigned_abs());
        let bits = (ms << 80) | (u128::from_be_bytes(random) & RANDOM_BITS);
        // It sets the bits of version and variant.
        Self(
            uuid::Builder::from_u128(bits)
                .with_variant(uuid::Variant::RFC4122)
                .with_version(uuid::Version::SortRand)
                .into_uuid(),
        )
    }

    /// The UUID.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    /// When the id was made: the milliseconds in a UUIDv7's first 48 bits (RFC 9562, 5.7).
    #[must_use]
    pub const fn made_at(self) -> Timestamp {
        let ms = self.0.as_u128() >> 80;
        Timestamp::from_unix_ms(ms as i64)
    }
}

impl FromStr for SagaId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.get_version_num() == 7);
        // Only the one way of writing it: ids are compared as text in databases and logs.
        match uuid.filter(|uuid| uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text) {
            Some(uuid) => Ok(Self(uuid)),
            None => Err(InvalidId::new("saga id", text, "a lower-case hyphenated UUID of version 7")),
        }
    }
}

impl fmt::Display for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for SagaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether an effect does a step or undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Does the step.
    #[serde(rename = "do")]
    Forward,
    /// Undoes it (compensates).
    #[serde(rename = "undo")]
    Backward,
}

impl Direction {
    /// How it is written in an effect id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Forward => "do",
            Self::Backward => "undo",
        }
    }
}

/// A step, or one element of a `for_each` step: `<step>` or `<step>.<index>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepRef {
    /// The step's name in the definition.
    pub name: Token,
    /// Which element, for a step that runs once per element.
    pub index: Option<u32>,
}

impl From<Token> for StepRef {
    fn from(name: Token) -> Self {
        Self { name, index: None }
    }
}

impl fmt::Display for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            None => fmt::Display::fmt(&self.name, f),
            Some(index) => write!(f, "{}.{index}", self.name),
        }
    }
}

impl fmt::Debug for StepRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for StepRef {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || InvalidId::new("step", text, "<step> or <step>.<index>");
        let (name, index) = match text.split_once('.') {
            None => (text, None),
            Some((name, index)) => (name, Some(number(index).ok_or_else(bad)?)),
        };
        Ok(Self { name: Token::new(name).map_err(|_| bad())?, index })
    }
}

/// Identity of one effect at one participant.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EffectId {
    /// The saga.
    pub saga: SagaId,
    /// Its step.
    pub step: StepRef,
    /// Done or undone.
    pub direction: Direction,
    /// Starts at 1; an operator's edit-and-retry opens the next.
    pub epoch: u32,
}

impl EffectId {
    /// The `id` attribute of the sending `send_no` of this effect's command.
    #[must_use]
    pub fn message_id(&self, send_no: u32) -> String {
        format!("{self}/{send_no}")
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { saga, step, direction, epoch } = self;
        // In pieces: it is written more often than anything else, and most of its parts are there as they are to be.
        fmt::Display::fmt(saga, f)?;
        f.write_str("/")?;
        f.write_str(&step.name)?;
        if let Some(index) = step.index {
            write!(f, ".{index}")?;
        }
        f.write_str(match direction {
            Direction::Forward => "/do/",
            Direction::Backward => "/undo/",
        })?;
        write!(f, "{epoch}")
    }
}

impl fmt::Debug for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EffectId {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || InvalidId::new("effect id", text, "<saga>/<step>[.<index>]/<do|undo>/<epoch>");
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or_else(bad);
        let saga = next()?.parse().map_err(|_| bad())?;
        let step = next()?.parse().map_err(|_| bad())?;
        let direction = match next()? {
            "do" => Direction::Forward,
            "undo" => Direction::Backward,
            _ => return Err(bad()),
        };
        let epoch = number(next()?).filter(|epoch| *epoch > 0).ok_or_else(bad)?;
        match parts.next() {
            None => Ok(Self { saga, step, direction, epoch }),
            Some(_) => Err(bad()),
        }
    }
}

/// A definition by name and version, written `order.v1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DefinitionRef {
    /// The saga's name, such as `order`.
    pub name: Token,
    /// Its version, from 1.
    pub version: u32,
}

impl fmt::Display for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.v{}", self.name, self.version)
    }
}

impl fmt::Debug for DefinitionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for DefinitionRef {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (name, version) = text.split_once(".v")?;
            let version = number(version).filter(|version| *version > 0)?;
            Some(Self { name: Token::new(name).ok()?, version })
        };
        parse().ok_or_else(|| InvalidId::new("definition", text, "<saga>.v<version>, such as order.v1"))
    }
}

/// Digits only, no sign, no leading zero: an id has exactly one way of being written.
pub(crate) fn number(text: &str) -> Option<u32> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

/// An id that is not written as it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not a {what}: {expected} is expected")]
pub struct InvalidId {
    what: &'static str,
    found: String,
    expected: &'static str,
}

impl InvalidId {
    fn new(what: &'static str, found: &str, expected: &'static str) -> Self {
        Self { what, found: found.chars().take(200).collect(), expected }
    }
}

impl Serialize for SagaId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl<'de> Deserialize<'de> for SagaId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}

impl Serialize for StepRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}

impl Serialize for EffectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EffectId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}

impl Serialize for DefinitionRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DefinitionRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}
