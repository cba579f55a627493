//! Subjects, streams and headers.
//!
//! Invariant: no other file of the project writes one of these names as a literal. No saga id stands
//! in a subject: the broker keeps state per subject.

use std::fmt;

use crate::{InvalidToken, Token};

/// The prefix of all subjects unless configured otherwise; streams derive from it, too.
pub const DEFAULT_PREFIX: &str = "amends";

/// The participant name that belongs to the orchestrator itself.
pub const ORCHESTRATOR: &str = "orchestrator";

/// The command name that the SDK answers for every participant (docs/PROTOCOL.md, "Fence").
pub const FENCE: &str = "fence";

/// Message headers. They only help: a reader never needs them.
pub mod header {
    /// The envelope's `id`, for the broker's duplicate window. Never on replies.
    pub const MESSAGE_ID: &str = "Nats-Msg-Id";
    /// The media type of the body.
    pub const CONTENT_TYPE: &str = "Content-Type";
    /// W3C Trace Context.
    pub const TRACEPARENT: &str = "traceparent";
    /// On answers to requests that were refused for the moment: when to ask again, in seconds.
    pub const RETRY_AFTER: &str = "Retry-After";
}

/// The four streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Commands to participants.
    Command,
    /// Their replies.
    Reply,
    /// What happened, for whoever cares.
    Event,
    /// Messages nobody could read or route.
    Dead,
}

impl Stream {
    /// All of them, in the order in which they are created.
    pub const ALL: [Self; 4] = [Self::Command, Self::Reply, Self::Event, Self::Dead];

    /// First token of the subjects behind the prefix, and of an envelope's `type`.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Command => "cmd",
            Self::Reply => "reply",
            Self::Event => "event",
            Self::Dead => "dead",
        }
    }
}

/// The names under one prefix. Several groups of orchestrators share a broker by their prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: Token,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(DEFAULT_PREFIX).unwrap_or_else(|_| unreachable!("the default prefix is a token"))
    }
}

impl Names {
    /// Takes the prefix.
    ///
    /// # Errors
    /// [`InvalidToken`] when the prefix is not one token.
    pub fn new(prefix: &str) -> Result<Self, InvalidToken> {
        Ok(Self { prefix: Token::new(prefix)? })
    }

    /// The prefix.
    #[must_use]
    pub const fn prefix(&self) -> &Token {
        &self.prefix
    }

    /// `amends.cmd.<participant>.<command>`
    #[must_use]
    pub fn command(&self, participant: &Token, command: &Token) -> String {
        self.subject(&format!("{}.{participant}.{command}", Stream::Command.token()))
    }

    /// `amends.cmd.<participant>.>`: everything sent to one participant.
    #[must_use]
    pub fn commands_of(&self, participant: &Token) -> String {
        self.subject(&format!("{}.{participant}.>", Stream::Command.token()))
    }

    /// `amends.reply.<participant>`
    #[must_use]
    pub fn reply(&self, participant: &Token) -> String {
        self.subject(&format!("{}.{participant}", Stream::Reply.token()))
    }

    /// `amends.event.<entity>.<past-participle>`
    #[must_use]
    pub fn event(&self, entity: &Token, name: &Token) -> String {
        self.subject(&format!("{}.{entity}.{name}", Stream::Event.token()))
    }

    /// `amends.dead.<participant>`
    #[must_use]
    pub fn dead(&self, participant: &Token) -> String {
        self.subject(&format!("{}.{participant}", Stream::Dead.token()))
    }

    /// `amends.cmd.>` and so on: what a stream stores.
    #[must_use]
    pub fn all(&self, stream: Stream) -> String {
        self.subject(&format!("{}.>", stream.token()))
    }

    /// `AMENDS_CMD` and so on.
    #[must_use]
    pub fn stream(&self, stream: Stream) -> String {
        format!("{}_{}", self.prefix, stream.token()).to_ascii_uppercase()
    }

    /// `amends.svc.saga.<operation>`: request and reply without the streams.
    #[must_use]
    pub fn service(&self, operation: &Token) -> String {
        self.subject(&format!("svc.saga.{operation}"))
    }

    /// `amends.svc.>`: all of them.
    #[must_use]
    pub fn services(&self) -> String {
        self.subject("svc.>")
    }

    /// `amends-<who>`: how processes are called among the micro services.
    #[must_use]
    pub fn service_name(&self, who: &Token) -> String {
        format!("{}-{who}", self.prefix)
    }

    /// The subject of an envelope's `type`: the prefix before it.
    #[must_use]
    pub fn subject(&self, message_type: &str) -> String {
        format!("{}.{message_type}", self.prefix)
    }

    /// An envelope's `type` out of its subject; `None` for another prefix.
    #[must_use]
    pub fn message_type<'a>(&self, subject: &'a str) -> Option<&'a str> {
        subject.strip_prefix(self.prefix.as_str())?.strip_prefix('.')
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.prefix, f)
    }
}
