//! What can go wrong with the broker, by what a caller can do about it.
//!
//! Invariant: kinds are comparable and carry no type of the client library.

use async_nats::jetstream::{self, ErrorCode};
use thiserror::Error as ThisError;

/// A request to the broker failed.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// The configuration cannot be used; the text says which part, and what to do.
    #[error("nats: {0}")]
    Config(String),
    /// Not connected, or `JetStream` is not there (starting, without a leader, switched off, out of disk).
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// No answer in time.
    #[error("the broker did not answer within {0} ms")]
    TimedOut(u64),
    /// `JetStream` said no.
    #[error("the broker refused: {text}")]
    Refused {
        /// `JetStream`'s `err_code`, such as 10047 (storage resources exceeded).
        code: u64,
        /// Its description, code included.
        text: String,
    },
    /// The broker's answer could not be understood.
    #[error("the broker's answer cannot be read: {0}")]
    Answer(String),
}

impl Error {
    /// What `JetStream` answered, by what it means to us: 503 is trouble of the moment.
    pub(crate) fn answered(error: &jetstream::Error) -> Self {
        let text = error.to_string();
        match error.code() {
            503 => Self::Unavailable(text),
            _ => Self::Refused { code: error.error_code().0, text },
        }
    }

    /// Whether this is `JetStream`'s answer `code`.
    pub(crate) fn is(&self, code: ErrorCode) -> bool {
        matches!(self, Self::Refused { code: found, .. } if *found == code.0)
    }
}

/// One message was not (known to be) stored.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum PublishError {
    /// Nobody took it: not connected, no stream, no leader, no disk. It was not stored.
    #[error("the broker is unavailable: {0}")]
    Unavailable(String),
    /// No acknowledgement in time (milliseconds). It may have been stored, or may be yet.
    #[error("the broker did not acknowledge within {0} ms")]
    TimedOut(u64),
    /// Larger than the broker takes, headers included. It will never be stored.
    #[error("the message has {bytes} bytes with its headers, the broker takes {bytes_max}")]
    TooLarge {
        /// Size of body and headers, in bytes.
        bytes: usize,
        /// The broker's limit, in bytes.
        bytes_max: usize,
    },
    /// The broker said no to this message. It was not stored.
    #[error("the broker refused the message: {text}")]
    Refused {
        /// `JetStream`'s `err_code`.
        code: u64,
        /// Its description, code included.
        text: String,
    },
    /// Subject or headers cannot be sent at all. It will never be stored.
    #[error("the message cannot be sent: {0}")]
    Invalid(String),
}

impl PublishError {
    /// What `JetStream` answered to a message.
    pub(crate) fn answered(error: &jetstream::Error) -> Self {
        match Error::answered(error) {
            // A cluster is storing this very message for somebody who was faster, and does not know yet
            // whether it will: offered again, it is a duplicate or is stored.
            Error::Refused { code, text } if code == ErrorCode::STREAM_DUPLICATE_MESSAGE_CONFLICT.0 => {
                Self::Unavailable(text)
            }
            Error::Refused { code, text } => Self::Refused { code, text },
            other => Self::Unavailable(other.to_string()),
        }
    }

    /// Whether sending the same message again later can succeed.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::TimedOut(_))
    }

    /// One word, for metrics.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "unavailable",
            Self::TimedOut(_) => "timed-out",
            Self::TooLarge { .. } => "too-large",
            Self::Refused { .. } => "refused",
            Self::Invalid(_) => "invalid",
        }
    }
}

#[test]
fn a_message_that_a_cluster_is_storing_is_offered_again() {
    let answer = |code: u64, err_code: u64| {
        let answer = serde_json::json!({ "code": code, "err_code": err_code, "description": "no" });
        serde_json::from_value(answer).is_ok_and(|error| PublishError::answered(&error).is_transient())
    };
    assert!(answer(409, 10_158), "duplicate message id is in process");
    assert!(answer(503, 10_077), "no leader, no room");
    assert!(!answer(400, 10_054), "larger than the stream takes");
}
