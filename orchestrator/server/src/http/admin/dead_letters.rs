//! `GET /v1/dead-letters`: what nobody could read or route.

use std::collections::BTreeMap;

use amends_contract::{DeadLetter, Digest, Timestamp, Token};
use amends_service::problem::{Json, Problem, Problems, Query};
use amends_store::DeadLetterRow;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::{errors, paging};

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Go on where an earlier list ended: its `next_cursor`.
    cursor: Option<i64>,
    /// At most so many.
    limit: Option<u32>,
}

/// Some dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetterList {
    /// The last stored first.
    dead_letters: Vec<DeadLetterItem>,
    /// Where the next page begins; none when there is nothing more.
    next_cursor: Option<i64>,
}

/// A dead letter in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetterItem {
    /// Its place in the list.
    number: i64,
    /// What is known of it.
    #[serde(flatten)]
    letter: Option<Letter>,
    /// Why this version of the program cannot read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// A message that was set aside.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Letter {
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

/// Lists dead letters, the last stored first.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", security(("api_key" = ["operate"])),
    params(Wanted), responses((status = 200, body = DeadLetterList), Problems))]
pub(super) async fn list(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<DeadLetterList>, Problem> {
    let limit = paging::limit(wanted.limit, &app.api)?;
    let page = app.core.store().dead_letters(wanted.cursor, limit).await;
    let page = page.map_err(|error| errors::of_store(&app, error))?;
    let item = |row| item(row, app.api.dead_letter_preview_bytes);
    Ok(Json(DeadLetterList {
        dead_letters: page.rows.into_iter().map(item).collect(),
        next_cursor: page.next,
    }))
}

fn item(row: DeadLetterRow, preview_bytes: usize) -> DeadLetterItem {
    let (letter, unreadable) = match row.letter {
        Ok(letter) => (Some(Letter::new(letter, preview_bytes)), None),
        Err(why) => (None, Some(why)),
    };
    DeadLetterItem { number: row.number, letter, unreadable }
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
            headers: letter.headers,
            body_bytes: letter.body_bytes,
            body_digest: letter.body_digest,
        }
    }
}
