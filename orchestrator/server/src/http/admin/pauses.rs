//! `POST /v1/definitions/{definition}/pause|resume`: an operator stops all sagas of a definition, and lets
//! them go on.

use amends_contract::{DefinitionRef, InvalidToken, Timestamp, Token};
use amends_service::problem::{Json, Path, Problem, Problems};
use amends_store::DefinitionPause;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::app::App;
use super::super::auth::Caller;
use super::super::{errors, reason};
use crate::core::ResumeError;

/// A definition by its name, or one version of it as `order.v1`.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Meant {
    name: Token,
    version: Option<u32>,
}

impl TryFrom<String> for Meant {
    type Error = InvalidToken;
    fn try_from(text: String) -> Result<Self, InvalidToken> {
        match text.parse::<DefinitionRef>() {
            Ok(DefinitionRef { name, version }) => Ok(Self { name, version: Some(version) }),
            Err(_) => Ok(Self { name: Token::new(&text)?, version: None }),
        }
    }
}

impl Meant {
    fn find(&self, app: &App) -> Result<(), Problem> {
        let definitions = app.core.definitions();
        let found = match self.version {
            None => definitions.latest(&self.name).is_some(),
            Some(version) => {
                definitions.version(&DefinitionRef { name: self.name.clone(), version }).is_some()
            }
        };
        let version = self.version.map(|version| format!(".v{version}")).unwrap_or_default();
        let missing = || Problem::not_found(format!("there is no definition {}{version}", self.name));
        if found { Ok(()) } else { Err(missing()) }
    }
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Why {
    /// Stands in the journal of every saga that pauses or goes on, with your key's name.
    reason: String,
}

/// Whether the sagas of a definition pause.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct PauseView {
    /// Whether they do.
    paused: bool,
    /// The version; none when all of them are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    /// Who said so.
    actor: String,
    /// Why.
    reason: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    since: Timestamp,
}

impl From<DefinitionPause> for PauseView {
    fn from(pause: DefinitionPause) -> Self {
        let DefinitionPause { name: _, version, paused, actor, reason, changed_at } = pause;
        Self { paused, version, actor, reason, since: changed_at }
    }
}

/// Pauses a definition.
///
/// New sagas of it are answered 503 with the code `definition-paused` and your reason; open ones are told to
/// pause, in bounded batches, which goes on by itself after this is answered. Sagas that are steps of others
/// or are started by events begin, and pause within a second. Saying it again changes nothing.
#[utoipa::path(post, path = "/v1/definitions/{definition}/pause", tag = "definitions",
    security(("api_key" = ["operate"])),
    params(("definition" = String, Path, description = "The name, or one version of it, as `order.v1`.")),
    request_body = Why,
    responses((status = 200, description = "It is said; sagas are being told.", body = PauseView), Problems))]
pub(super) async fn pause(
    State(app): State<App>,
    caller: Caller,
    Path(meant): Path<Meant>,
    Json(Why { reason }): Json<Why>,
) -> Result<Json<PauseView>, Problem> {
    reason::require(&reason)?;
    meant.find(&app)?;
    let said = app.core.pause_definition((&meant.name, meant.version), &caller.actor(), &reason).await;
    answer(said.map_err(|error| errors::of_store(&app, error))?)
}

/// Lets the sagas of a definition go on.
///
/// Their clocks go on where they stood. A name alone lets go all its versions; a saga that an operator paused
/// by itself stays paused.
#[utoipa::path(post, path = "/v1/definitions/{definition}/resume", tag = "definitions",
    security(("api_key" = ["operate"])),
    params(("definition" = String, Path, description = "The name, or one version of it, as `order.v1`.")),
    request_body = Why,
    responses((status = 200, description = "It is said; sagas are being told.", body = PauseView), Problems))]
pub(super) async fn resume(
    State(app): State<App>,
    caller: Caller,
    Path(meant): Path<Meant>,
    Json(Why { reason }): Json<Why>,
) -> Result<Json<PauseView>, Problem> {
    reason::require(&reason)?;
    meant.find(&app)?;
    let said = app.core.resume_definition((&meant.name, meant.version), &caller.actor(), &reason).await;
    answer(said.map_err(|error| match error {
        ResumeError::Store(error) => errors::of_store(&app, error),
        refused @ (ResumeError::NotPaused | ResumeError::Whole(_)) => {
            Problem::new(StatusCode::CONFLICT, "refused", refused.to_string())
        }
    })?)
}

fn answer(said: Option<DefinitionPause>) -> Result<Json<PauseView>, Problem> {
    let gone = || Problem::internal(&"what was said about a definition cannot be read back");
    said.map(PauseView::from).map(Json).ok_or_else(gone)
}
