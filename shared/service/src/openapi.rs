//! `/openapi.json` and a `/docs` that needs no network.

use axum::Router;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Info, OpenApi, OpenApiBuilder};
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
    let (router, api) = router.split_for_parts();
    router.merge(docs(api))
}

fn docs<S: Clone + Send + Sync + 'static>(api: OpenApi) -> Router<S> {
    // The validator is a service on the internet; what is documented here need not be public.
    let config = Config::default().validator_url("none").try_it_out_enabled(true);
    SwaggerUi::new("/docs").url("/openapi.json", api).config(config).into()
}
