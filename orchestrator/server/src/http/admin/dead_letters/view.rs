//! A dead letter as an operator sees it.
//!
//! Invariant: a list shows the beginning of a body only; whoever asks for one letter gets all that is kept.

use std::collections::BTreeMap;

use amends_contract::{DeadLetter, Digest, Timestamp, Token};
use amends_store::{DeadLetterRow, LetterAction, LetterOutcome};
use serde::Serialize;
use utoipa::ToSchema;

/// A dead letter in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct DeadLetterItem {
    /// Its place in the list, and its id.
    number: i64,
    /// `open`, `redriven` or `discarded`.
    #[schema(value_type = String, example = "open")]
    state: &'static str,
    /// What is known of it.
    #[serde(flatten)]
    letter: Option<Letter>,
    /// What operators did with it, the first one first.
    actions: Vec<ActionView>,
    /// Why this version of the program cannot read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// A dead letter with all that is kept of it.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct DeadLetterView {
    #[serde(flatten)]
    item: DeadLetterItem,
    /// Its body, or the beginning of it, in base64.
    body_base64: String,
    /// How many bytes of it are kept; less than `body_bytes` means that it was cut.
    body_kept_bytes: usize,
}

/// A message that was set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct Letter {
    /// Who set it aside.
    #[schema(value_type = String)]
    participant: Token,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Why, for programs.
    code: String,
    /// Why, for people.
    detail: String,
    /// The subject it came on.
    subject: String,
    /// The stream it lay in.
    stream: String,
    /// Its sequence there.
    stream_seq: u64,
    /// Which element of a batch it was, from 0; none when it is a whole body.
    #[serde(skip_serializing_if = "Option::is_none")]
    element: Option<u32>,
    /// Its headers.
    headers: BTreeMap<String, String>,
    /// The beginning of its body, as far as it is text.
    body_preview: String,
    /// Size of the whole body.
    body_bytes: usize,
    /// SHA-256 of the whole body.
    #[schema(value_type = String)]
    body_digest: Digest,
}

/// What an operator did with a dead letter.
#[derive(Debug, Serialize, ToSchema)]
pub(in super::super) struct ActionView {
    /// `redrive` or `discard`.
    action: String,
    /// Whose key it was.
    actor: String,
    /// Why.
    reason: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// `done`, `failed` (nothing was sent), or `unknown`: it is under way, or was cut short.
    #[schema(value_type = String, example = "done")]
    outcome: &'static str,
    /// The sequence of the message that was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_seq: Option<u64>,
    /// Why nothing was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl DeadLetterItem {
    pub(super) fn new(row: DeadLetterRow, preview_bytes: usize) -> Self {
        let DeadLetterRow { number, state, letter, actions } = row;
        let (letter, unreadable) = match letter {
            Ok(letter) => (Some(Letter::new(letter, preview_bytes)), None),
            Err(why) => (None, Some(why)),
        };
        let actions = actions.into_iter().map(ActionView::from).collect();
        Self { number, state: state.as_str(), letter, actions, unreadable }
    }
}

impl DeadLetterView {
    pub(super) fn new(row: DeadLetterRow, preview_bytes: usize) -> Self {
        let letter = row.letter.as_ref().ok();
        let body_base64 = letter.map(|letter| letter.body_base64.clone()).unwrap_or_default();
        let body_kept_bytes = letter.and_then(|letter| letter.body().ok()).map_or(0, |body| body.len());
        Self { item: DeadLetterItem::new(row, preview_bytes), body_base64, body_kept_bytes }
    }
}

impl Letter {
    fn new(letter: DeadLetter, preview_bytes: usize) -> Self {
        let body = letter.body().unwrap_or_default();
        let preview = &body[..body.len().min(preview_bytes)];
        Self {
            body_preview: String::from_utf8_lossy(preview).into_owned(),
            participant: letter.participant,
            at: letter.at,
            code: letter.reason.code,
            detail: letter.reason.message,
            subject: letter.subject,
            stream: letter.stream,
            stream_seq: letter.stream_seq,
            element: letter.element,
            headers: letter.headers,
            body_bytes: letter.body_bytes,
            body_digest: letter.body_digest,
        }
    }
}

impl From<LetterAction> for ActionView {
    fn from(action: LetterAction) -> Self {
        let LetterAction { action, actor, reason, at, outcome } = action;
        let (outcome, stream_seq, detail) = match outcome {
            LetterOutcome::Unknown => ("unknown", None, None),
            LetterOutcome::Done { stream_seq } => ("done", stream_seq, None),
            LetterOutcome::Failed { why } => ("failed", None, Some(why)),
        };
        Self { action, actor, reason, at, outcome, stream_seq, detail }
    }
}
