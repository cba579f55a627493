//! One thing that was found, why it matters and what to do.
//!
//! Invariant: whatever is no `ok` says why it matters, and whatever is worse than a note says what to do.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// It could not be looked at.
    Unseen,
    /// It works, and will hurt on a bad day.
    Warning,
    /// It does not work, or something that was promised may be lost.
    Error,
}

impl Level {
    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unseen => "unseen",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Area {
    /// Server, account, storage.
    Broker,
    /// Streams and consumers.
    Streams,
    /// What our users may do, who listens where, API keys.
    Access,
    /// Durability, schema, connections.
    Databases,
    /// Definitions and times that have to fit each other.
    Definitions,
    /// Who runs.
    Processes,
    /// Clocks.
    Clock,
    /// Limits of this machine.
    Machine,
}

impl Area {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 8] = [
        Self::Broker,
        Self::Streams,
        Self::Databases,
        Self::Definitions,
        Self::Processes,
        Self::Access,
        Self::Clock,
        Self::Machine,
    ];

    /// How it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Streams => "streams",
            Self::Access => "access",
            Self::Databases => "databases",
            Self::Definitions => "definitions",
            Self::Processes => "processes",
            Self::Clock => "clock",
            Self::Machine => "machine",
        }
    }
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it is about.
    pub area: Area,
    /// How bad it is.
    pub level: Level,
    /// A stable name of the check, for programs.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// Why it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A check: where its findings belong and what they are called.
#[derive(Clone, Copy)]
pub(crate) struct Check(pub(crate) Area, pub(crate) &'static str);

impl Check {
    /// As it should be.
    pub(crate) fn ok(self, found: impl Into<String>) -> Finding {
        self.finding(Level::Ok, found.into(), None, None)
    }

    /// Worth knowing.
    pub(crate) fn note(self, found: impl Into<String>, why: impl Into<String>) -> Finding {
        self.finding(Level::Note, found.into(), Some(why.into()), None)
    }

    /// It could not be looked at, because of that.
    pub(crate) fn unseen(self, found: impl Into<String>, why: impl Into<String>) -> Finding {
        self.finding(Level::Unseen, found.into(), Some(why.into()), None)
    }

    /// It will hurt on a bad day.
    pub(crate) fn warning(
        self,
        found: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Level::Warning, found.into(), Some(why.into()), Some(remedy.into()))
    }

    /// It does not work, or something may be lost.
    pub(crate) fn error(
        self,
        found: impl Into<String>,
        why: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        self.finding(Level::Error, found.into(), Some(why.into()), Some(remedy.into()))
    }

    fn finding(self, level: Level, found: String, why: Option<String>, remedy: Option<String>) -> Finding {
        Finding { area: self.0, level, check: self.1, found, why, remedy }
    }
}
