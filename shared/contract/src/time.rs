//! Moments, to the millisecond.
//!
//! One type for wire, journal and database columns, so that nothing is rounded twice.
//! It has no `now`: the moment is always an argument.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
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

/// A moment's text, where it was made.
struct Text([u8; 24]);

impl Text {
    fn of(moment: Timestamp) -> Self {
        let date = moment.to_datetime();
        let (year, ms) = (date.year().unsigned_abs(), date.timestamp_subsec_millis());
        // By hand, because it is written often and chrono's own way costs several allocations.
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let numbers = [
            (0..4, year),
            (5..7, date.month()),
            (8..10, date.day()),
            (11..13, date.hour()),
            (14..16, date.minute()),
        ];
        for (place, number) in numbers.into_iter().chain([(17..19, date.second()), (20..23, ms)]) {
            let mut rest = number;
            for digit in text[place].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_else(|_| unreachable!("digits are ASCII"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Text::of(*self).as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Text::of(*self).as_str())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        as_text::deserialize(deserializer)
    }
}
