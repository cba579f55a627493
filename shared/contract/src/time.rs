//! Moments, to the millisecond.
//!
//! One type for wire, journal and database columns, so that nothing is rounded twice.
//! It has no `now`: the moment is always an argument.

use std::{fmt, str::FromStr};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::as_text;

/// A moment in UTC with millisecond precision. Written as RFC 3339 (`2026-11-21T08:02:49.123Z`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the Unix epoch; moments outside the years 1 to 9999 are clamped, since
    /// RFC 3339 cannot write them.
    #[must_use]
    pub const fn from_unix_ms(ms: i64) -> Self {
        const MIN: i64 = -62_135_596_800_000;
        const MAX: i64 = 253_402_300_799_999;
        Self(if ms < MIN {
            MIN
        } else if ms > MAX {
            MAX
        } else {
            ms
        })
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// The moment `ms` milliseconds later (clamped).
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self::from_unix_ms(self.0.saturating_add_unsigned(ms))
    }

    /// The moment `ms` milliseconds earlier (clamped).
    #[must_use]
    pub const fn minus_ms(self, ms: u64) -> Self {
        Self::from_unix_ms(self.0.saturating_sub_unsigned(ms))
    }

    /// Milliseconds from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        let ms = self.0.saturating_sub(earlier.0);
        if ms > 0 { ms.unsigned_abs() } else { 0 }
    }

    /// As a chrono date, for display and calendars.
    #[must_use]
    pub fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or(DateTime::UNIX_EPOCH)
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(value: DateTime<Utc>) -> Self {
        Self::from_unix_ms(value.timestamp_millis())
    }
}

/// The text is not an RFC 3339 date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an RFC 3339 time, such as 2026-11-21T08:02:49.123Z")]
pub struct InvalidTimestamp(String);

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text)
            .map(|date| Self::from_unix_ms(date.timestamp_millis()))
            // An error message is no place for a megabyte of somebody's text.
            .map_err(|_| InvalidTimestamp(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}
