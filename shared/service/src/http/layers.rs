//! What surrounds every handler: request id, log line, metrics, limits, and problems for whatever goes
//! wrong before or beside a handler.
//!
//! Invariant: a panic is answered like any other internal error and takes nothing else down.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{Extensions, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use super::{HttpConfig, overloaded, request_id};
use crate::problem::Problem;

/// What is answered however much is asked for: who runs the process has to see it.
const ALWAYS: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Wraps the router's handlers; [`super::serve`] does it already, tests of a bare router need it.
pub fn with_layers(router: Router, config: &HttpConfig) -> Router {
    let places = Arc::new(Semaphore::new(config.requests_max.clamp(1, Semaphore::MAX_PERMITS)));
    // The outermost first. As one layer: each call of `layer` makes every route another box, copied for each request.
    let layers = (
        from_fn(observe),
        from_fn_with_state(places, bounded),
        DefaultBodyLimit::max(config.body_bytes_max),
        Extension(config.limits()),
        CatchPanicLayer::custom(panicked),
    );
    router.fallback(no_route).method_not_allowed_fallback(no_method).layer(layers)
}

/// Refuses what is more than may be answered at once.
async fn bounded(State(places): State<Arc<Semaphore>>, request: Request, next: Next) -> Response {
    let place = places.try_acquire();
    if place.is_err() && !ALWAYS.contains(&request.uri().path()) {
        let detail = "as many requests are being answered as may be, and this one was not looked at; try again after the \
                      seconds that Retry-After says";
        return overloaded(detail).into_response();
    }
    next.run(request).await
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
