//! `/openapi.json` and a `/docs` that needs no network.
//!
//! Invariant: every status with which an operation may answer is described, problems included; which of them it
//! may, follows from what it takes.

use axum::Router;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder, RefOr, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::problem::{ProblemBody, ProblemError};

/// The name by which operations refer to the API key: `security(("api_key" = ["order"]))`.
pub const API_KEY: &str = "api_key";

/// An empty router whose description has this title; add routes, then [`with_docs`].
#[must_use]
pub fn router<S: Clone + Send + Sync + 'static>(title: &str, description: &str) -> OpenApiRouter<S> {
    let mut info = Info::new(title, env!("CARGO_PKG_VERSION"));
    info.description = Some(description.to_owned());
    let api_key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("API key").build();
    let components = ComponentsBuilder::new()
        .security_scheme(API_KEY, SecurityScheme::Http(api_key))
        .schema_from::<ProblemBody>()
        .schema_from::<ProblemError>()
        .build();
    OpenApiRouter::with_openapi(OpenApiBuilder::new().info(info).components(Some(components)).build())
}

/// The router with `/openapi.json` and `/docs`.
pub fn with_docs<S: Clone + Send + Sync + 'static>(router: OpenApiRouter<S>) -> Router<S> {
    let (router, mut api) = router.split_for_parts();
    api.paths.paths.values_mut().flat_map(operations).for_each(describe_problems);
    router.merge(docs(api))
}

/// What an operation that names [`crate::problem::Problems`] may answer when it does not do what it is for.
const ALWAYS: [(u16, &str); 3] = [
    (400, "Something in the request is wrong; `errors` says where."),
    (500, "A fault of ours; the log has it under `trace_id`."),
    (503, "Not now; `Retry-After` says when to ask again."),
];
const KEYED: [(u16, &str); 2] =
    [(401, "There is no API key, or none that is known."), (403, "The API key does not have the scope.")];
const WITH_BODY: [(u16, &str); 3] = [
    (408, "The body did not arrive in time."),
    (413, "The body is too large."),
    (415, "The body is not sent as JSON."),
];
const ADDRESSED: (u16, &str) = (404, "There is no such thing.");
const CHANGING: (u16, &str) = (409, "It cannot be done as things stand; `detail` says why.");
const IDEMPOTENT: (u16, &str) = (422, "The Idempotency-Key was used for another request.");

/// The name in [`Operation::responses`] of what is said more exactly here.
const DEFAULT: &str = "default";

fn operations(path: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = path;
    let changes = [put, post, delete, patch].into_iter().flatten().map(|operation| (true, operation));
    get.iter_mut().map(|operation| (false, operation)).chain(changes)
}

/// Puts a response for each status in the place of the one for all.
fn describe_problems((changes, operation): (bool, &mut Operation)) {
    let Some(RefOr::T(problem)) = operation.responses.responses.remove(DEFAULT) else { return };
    let parameters = operation.parameters.iter().flatten();
    let has = |name: &str| {
        parameters.clone().any(|parameter| matches!(parameter, RefOr::T(parameter) if parameter.name == name))
    };
    let is_addressed = parameters.clone().any(
        |parameter| matches!(parameter, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Path),
    );
    let statuses = ALWAYS
        .into_iter()
        .chain(operation.security.iter().flat_map(|_| KEYED))
        .chain(operation.request_body.iter().flat_map(|_| WITH_BODY))
        .chain(is_addressed.then_some(ADDRESSED))
        .chain(changes.then_some(CHANGING))
        .chain(has("idempotency-key").then_some(IDEMPOTENT));
    let statuses: Vec<_> = statuses.collect();
    for (status, description) in statuses {
        let mut described: Response = problem.clone();
        description.clone_into(&mut described.description);
        operation.responses.responses.entry(status.to_string()).or_insert(RefOr::T(described));
    }
}

fn docs<S: Clone + Send + Sync + 'static>(api: OpenApi) -> Router<S> {
    // The validator is a service on the internet; what is documented here need not be public.
    let config = Config::default().validator_url("none").try_it_out_enabled(true);
    SwaggerUi::new("/docs").url("/openapi.json", api).config(config).into()
}
