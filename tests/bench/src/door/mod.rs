//! Where orders are placed: the service subject, or REST.
//!
//! Both are cheap on purpose: whatever the load costs is taken from what is measured.
//!
//! Invariant: each request that is pushed is answered once, in any order.

mod nats;
mod rest;

use std::borrow::Cow;

use serde::Deserialize;

pub(crate) use nats::Subject;
pub(crate) use rest::{Address, Rest};

/// One of the ways in.
pub(crate) enum Door {
    /// `amends.svc.saga.start`.
    Subject(Subject),
    /// `POST /v1/orders`.
    Rest(Rest),
}

/// What came back for a request.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The number it was pushed under.
    pub(crate) number: u64,
    /// The status of REST; of the service subject the same.
    pub(crate) status: u16,
    /// For how long the caller shall wait, in seconds, if it was told.
    pub(crate) retry_after_s: Option<u64>,
    /// JSON.
    pub(crate) body: Vec<u8>,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// The saga has ended so.
    Ended { id: String, completed: bool },
    /// It is accepted, and has not ended.
    Accepted { id: String },
    /// Too much to do (429, 503); whether it said when to come again.
    Refused { with_retry_after: bool },
    /// Anything else.
    Wrong(String),
}

impl Door {
    /// Sends a request with the next [`Door::flush`].
    pub(crate) fn push(&mut self, number: u64, body: Vec<u8>, key: &str) {
        match self {
            Self::Subject(door) => door.push(number, &body),
            Self::Rest(door) => door.push(number, body, key),
        }
    }

    /// How many requests wait for a connection of ours.
    pub(crate) fn backlog(&self) -> usize {
        match self {
            Self::Subject(_) => 0,
            Self::Rest(door) => door.backlog(),
        }
    }

    /// Hands over what was pushed.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Subject(door) => door.flush().await,
            Self::Rest(_) => Ok(()),
        }
    }

    /// Waits for answers, one at least. Nothing is lost when it is dropped.
    pub(crate) async fn answers(&mut self, into: &mut Vec<Answer>) -> anyhow::Result<()> {
        match self {
            Self::Subject(door) => door.answers(into).await,
            Self::Rest(door) => door.answers(into).await,
        }
    }
}

/// A saga or an order.
#[derive(Deserialize)]
struct Shown<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
}

impl Answer {
    pub(crate) fn said(&self) -> Said {
        if matches!(self.status, 429 | 503) {
            return Said::Refused { with_retry_after: self.retry_after_s.is_some() };
        }
        let wrong = || Said::Wrong(format!("{} {}", self.status, String::from_utf8_lossy(&self.body)));
        if !(200..300).contains(&self.status) {
            return wrong();
        }
        let Ok(Shown { id, status }) = serde_json::from_slice(&self.body) else { return wrong() };
        let id = id.into_owned();
        match &*status {
            "completed" | "confirmed" => Said::Ended { id, completed: true },
            "compensated" | "rejected" => Said::Ended { id, completed: false },
            "running" | "compensating" | "pending" => Said::Accepted { id },
            _ => wrong(),
        }
    }
}

#[test]
fn what_an_answer_says_is_read() {
    let said = |status, body: &str| {
        Answer { number: 1, status, retry_after_s: None, body: body.as_bytes().to_vec() }.said()
    };
    let ended = Said::Ended { id: "a".to_owned(), completed: false };
    assert_eq!(said(200, r#"{"id":"a","x":{"status":1},"status":"rejected"}"#), ended);
    assert_eq!(said(202, r#"{"id":"a","status":"pending"}"#), Said::Accepted { id: "a".to_owned() });
    assert_eq!(said(503, "{}"), Said::Refused { with_retry_after: false });
    assert!(matches!(said(200, r#"{"id":"a","status":"parked"}"#), Said::Wrong(_)));
    assert!(matches!(said(500, "{}"), Said::Wrong(_)));
}
