//! `GET /v1/definitions`.

use amends_contract::{DefinitionRef, Digest, Token};
use amends_service::problem::{Json, Path, Problem, Problems};
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::app::App;
use super::pauses::PauseView;
use crate::core::Loaded;

/// All definitions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DefinitionList {
    /// In the order of name and version.
    definitions: Vec<DefinitionItem>,
}

/// One version of a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DefinitionItem {
    /// The saga's name.
    #[schema(value_type = String)]
    name: Token,
    /// Its version.
    version: u32,
    /// SHA-256 of its source.
    #[schema(value_type = String)]
    digest: Digest,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether its sagas pause, by whom and why; none when they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PauseView>,
    /// Its steps, in order.
    steps: Vec<DefinitionStep>,
    /// The steps that run when everything has been undone.
    on_compensated: Vec<DefinitionStep>,
    /// The file, byte for byte; only where one definition is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
}

/// A step of a definition.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DefinitionStep {
    /// Its name.
    #[schema(value_type = String)]
    name: Token,
    /// On which side of the point of no return it stands.
    kind: &'static str,
    /// Whom it asks for what, as `inventory.reserve-stock`.
    call: String,
}

/// Lists the definitions that are loaded.
#[utoipa::path(get, path = "/v1/definitions", tag = "definitions", security(("api_key" = ["operate"])),
    responses((status = 200, body = DefinitionList), Problems))]
pub(super) async fn list(State(app): State<App>) -> Json<DefinitionList> {
    let definitions = app.core.definitions().all();
    Json(DefinitionList {
        definitions: definitions.iter().map(|loaded| DefinitionItem::new(&app, loaded)).collect(),
    })
}

/// Shows one definition with its source.
#[utoipa::path(get, path = "/v1/definitions/{definition}", tag = "definitions", security(("api_key" = ["operate"])),
    params(("definition" = String, Path, description = "Name and version, as `order.v1`.")),
    responses((status = 200, body = DefinitionItem), Problems))]
pub(super) async fn show(
    State(app): State<App>,
    Path(reference): Path<DefinitionRef>,
) -> Result<Json<DefinitionItem>, Problem> {
    let loaded = app.core.definitions().version(&reference);
    let loaded = loaded.ok_or_else(|| Problem::not_found(format!("there is no definition {reference}")))?;
    let source = Some(loaded.definition.source.to_string());
    Ok(Json(DefinitionItem { source, ..DefinitionItem::new(&app, &loaded) }))
}

impl DefinitionItem {
    fn new(app: &App, loaded: &Loaded) -> Self {
        let definition = &loaded.definition;
        let steps = |steps: &[amends_definition::Step]| steps.iter().map(DefinitionStep::from).collect();
        Self {
            name: definition.name.clone(),
            version: definition.version,
            digest: definition.digest,
            description: definition.description.clone(),
            paused: app.core.pauses().of(&definition.reference()).map(PauseView::from),
            steps: steps(&definition.steps),
            on_compensated: steps(&definition.on_compensated),
            source: None,
        }
    }
}

impl From<&amends_definition::Step> for DefinitionStep {
    fn from(step: &amends_definition::Step) -> Self {
        Self { name: step.name.clone(), kind: step.kind.as_str(), call: step.call.to_string() }
    }
}
