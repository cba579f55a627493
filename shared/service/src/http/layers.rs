//! What surrounds every handler: request id, log line, metrics, limits, and problems for whatever goes
//! wrong before or beside a handler.
//!
//! Invariant: a panic is answered like any other internal error and takes nothing else down.

use std::any::Any;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{Extensions, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use metrics::{counter, histogram};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use super::{HttpConfig, request_id};
use crate::problem::Problem;

/// Wraps the router's handlers; [`super::serve`] does it already, tests of a bare router need it.
pub fn with_layers(router: Router, config: &HttpConfig) -> Router {
    router
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(Extension(config.limits()))
        .layer(DefaultBodyLimit::max(config.body_bytes_max))
        .layer(from_fn(observe))
}

/// One span, one id, one log line and two metrics per request.
async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id::of_request(request.headers());
    let method = known(request.method());
    let route = route(request.extensions());
    let span = tracing::info_span!("request", method, path = request.uri().path(), id);
    let answered = request_id::within(id.clone(), next.run(request)).instrument(span.clone());
    let mut response = answered.await;

    let status = response.status();
    let elapsed = started.elapsed();
    let _entered = span.entered();
    if status.is_server_error() {
        tracing::warn!(status = status.as_u16(), ms = elapsed.as_millis(), "answered");
    } else {
        tracing::debug!(status = status.as_u16(), ms = elapsed.as_millis(), "answered");
    }
    let labels = [("method", method.to_owned()), ("route", route), ("status", status.as_u16().to_string())];
    counter!("amends_http_requests_total", &labels).increment(1);
    histogram!("amends_http_request_seconds", &labels).record(elapsed.as_secs_f64());
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    response
}

/// The route as it was declared: a label per path would grow without bound.
fn route(extensions: &Extensions) -> String {
    extensions.get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned()
}

/// Methods are open words, labels must not be.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

async fn no_route(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}; /docs lists what there is", uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} cannot be asked for by {method}; the header Allow says how", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", detail)
}

/// The panic hook has logged it, within the request's span.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::hidden().into_response()
}
