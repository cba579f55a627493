//! `/v1/dead-letters`: what nobody could read or route, and what operators do about it.
//!
//! Invariant: whatever is done with a dead letter stands with it, with actor, reason and time.

mod view;

use amends_contract::{Timestamp, Token};
use amends_service::problem::{Json, Path, Problem, Problems, Query};
use amends_store::{DeadLetterFilter, LetterState};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use self::view::{DeadLetterItem, DeadLetterView};
use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, paging, reason};

/// Which dead letters. Different parameters narrow it down together.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Any of these, separated by commas: open, redriven, discarded.
    state: Option<String>,
    /// Why it was set aside, such as `not-json`.
    code: Option<String>,
    /// Who set it aside.
    participant: Option<String>,
    /// The subject it came on.
    subject: Option<String>,
    /// Set aside at this time or later (RFC 3339).
    from: Option<String>,
    /// Set aside before this time (RFC 3339).
    before: Option<String>,
    /// Go on where an earlier list ended: its `next_cursor`.
    cursor: Option<i64>,
    /// At most so many.
    limit: Option<u32>,
}

impl Wanted {
    fn filter(&self) -> Result<DeadLetterFilter, Problem> {
        let states: Vec<LetterState> = paging::parse_list("state", self.state.as_deref())?;
        let participant: Option<Token> = paging::parse("participant", self.participant.as_deref())?;
        let from: Option<Timestamp> = paging::parse("from", self.from.as_deref())?;
        let before: Option<Timestamp> = paging::parse("before", self.before.as_deref())?;
        let (code, subject) = (self.code.clone(), self.subject.clone());
        Ok(DeadLetterFilter { states, code, participant, subject, from, before })
    }
}

/// Some dead letters.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DeadLetterList {
    /// The last stored first.
    dead_letters: Vec<DeadLetterItem>,
    /// Where the next page begins; none when there is nothing more.
    next_cursor: Option<i64>,
}

/// Lists dead letters, the last stored first.
#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", security(("api_key" = ["operate"])),
    params(Wanted), responses((status = 200, body = DeadLetterList), Problems))]
pub(super) async fn list(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<DeadLetterList>, Problem> {
    let limit = paging::limit(wanted.limit, &app.api)?;
    let page = app.core.store().dead_letters(&wanted.filter()?, wanted.cursor, limit).await;
    let page = page.map_err(|error| errors::of_store(&app, error))?;
    let item = |row| DeadLetterItem::new(row, app.api.dead_letter_preview_bytes);
    Ok(Json(DeadLetterList {
        dead_letters: page.rows.into_iter().map(item).collect(),
        next_cursor: page.next,
    }))
}

/// Shows a dead letter with all that is kept of its body.
#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters", security(("api_key" = ["operate"])),
    params(("id" = i64, Path, description = "Its `number`.")),
    responses((status = 200, body = DeadLetterView), Problems))]
pub(super) async fn show(
    State(app): State<App>,
    Path(number): Path<i64>,
) -> Result<Json<DeadLetterView>, Problem> {
    let row = app.core.store().dead_letter(number).await.map_err(|error| errors::of_store(&app, error))?;
    let row = row.ok_or_else(|| missing(number))?;
    Ok(Json(DeadLetterView::new(row, app.api.dead_letter_preview_bytes)))
}

/// What is to be done, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterRequest {
    /// `redrive` (send its body to its subject again, byte for byte), or `discard` (it shall not be sent again).
    action: Kind,
    /// Stands with the letter, with your key's name.
    reason: String,
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Redrive,
    Discard,
}

/// Sends a dead letter again, or says that it shall not be.
///
/// Mend the cause first: what still cannot be read comes back as another dead letter. Redriving is safe, also
/// twice: whoever knows the message answers as before. It is refused with 409 where the body was cut and its
/// stream does not hold it any more; discarding is, where somebody has dealt with the letter already. Nothing
/// is ever deleted from the list.
#[utoipa::path(post, path = "/v1/dead-letters/{id}/actions", tag = "dead letters",
    security(("api_key" = ["operate"])), params(("id" = i64, Path, description = "Its `number`.")),
    request_body = LetterRequest,
    responses((status = 200, description = "The letter after it.", body = DeadLetterItem), Problems))]
pub(super) async fn act(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<i64>,
    Json(request): Json<LetterRequest>,
) -> Result<Json<DeadLetterItem>, Problem> {
    reason::require(&request.reason)?;
    let row = match request.action {
        Kind::Redrive => {
            let redriven = app.core.redrive(number, caller.actor(), request.reason).await;
            redriven.map_err(|error| errors::of_redrive(&app, error))?
        }
        Kind::Discard => {
            let (store, of_store) = (app.core.store(), |error| errors::of_store(&app, error));
            let done = store.discard(number, &caller.actor(), &request.reason).await.map_err(of_store)?;
            let row = store.dead_letter(number).await.map_err(of_store)?.ok_or_else(|| missing(number))?;
            if !done {
                let why = format!("it is {} already; only an open one can be discarded", row.state.as_str());
                return Err(Problem::new(StatusCode::CONFLICT, "refused", why));
            }
            row
        }
    };
    Ok(Json(DeadLetterItem::new(row, app.api.dead_letter_preview_bytes)))
}

fn missing(number: i64) -> Problem {
    Problem::not_found(format!("there is no dead letter {number}"))
}
