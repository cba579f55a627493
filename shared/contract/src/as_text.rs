//! Reading what is one string on the wire and a typed value here.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// Parses the string with the type's own `FromStr`, so that serde and plain parsing cannot disagree.
pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}
