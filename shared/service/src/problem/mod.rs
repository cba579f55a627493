//! Errors of HTTP as RFC 9457 problems, and extractors that reject with them.
//!
//! Invariant: a problem says what is wrong, where, and what to do; of an internal error it says only
//! under which id the log has it.

mod body;
mod extract;
mod position;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use problem_details::ProblemDetails;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use body::Limits;
pub use extract::{Json, Path, Query};

use crate::http::request_id;

/// Longest text of one error in characters: serde quotes what it did not like, and that may be a megabyte.
const DETAIL_CHARS_MAX: usize = 500;

/// An error answer (RFC 9457). Small, since it travels in the `Err` of every handler.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: String,
    errors: Vec<ProblemError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemError {
    /// Where: `#/lines/0/quantity` in the body (a JSON Pointer as URI fragment, RFC 6901), `?limit` in the
    /// query, `path:id` in the path, `header:idempotency-key` in the headers.
    #[schema(example = "#/lines/0/quantity")]
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

/// What a problem looks like on the wire (RFC 9457); its `type` is `about:blank`, told apart by `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemBody {
    /// The status code again.
    #[schema(example = 400)]
    pub status: u16,
    /// The status in words.
    #[schema(example = "Bad Request")]
    pub title: String,
    /// What is wrong and what to do.
    pub detail: String,
    /// The kind of problem, for programs.
    #[schema(example = "invalid-body")]
    pub code: String,
    /// Each place that is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<ProblemError>,
    /// Under which id the log has this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// For API descriptions: any operation may answer with a problem. [`crate::openapi::with_docs`] says with which.
#[derive(Debug, utoipa::IntoResponses)]
#[response(
    status = "default",
    description = "A problem (RFC 9457).",
    content_type = "application/problem+json"
)]
pub struct Problems(pub ProblemBody);

#[derive(Serialize)]
struct Extensions {
    code: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ProblemError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

impl Problem {
    /// A problem with this status, kind (lower-case words with `-`) and text for people.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let detail = cut(detail.into());
        Self(Box::new(Inner { status, code, detail, errors: Vec::new(), headers: Vec::new() }))
    }

    /// 400: the request is wrong.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// 503 with `Retry-After`: not now.
    #[must_use]
    pub fn unavailable(code: &'static str, detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
            .with_header(header::RETRY_AFTER, HeaderValue::from(retry_after_s))
    }

    /// 500: the error goes to the log, the caller gets the id to find it by.
    #[must_use]
    pub fn internal(error: &(dyn std::fmt::Display + Send + Sync)) -> Self {
        tracing::error!(%error, "a request failed");
        Self::hidden()
    }

    /// 500 for what has been logged already.
    #[must_use]
    pub(crate) fn hidden() -> Self {
        let detail = "this is our fault, not yours; the log has the reason under the trace id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// Adds a place and what is wrong there; see [`ProblemError::pointer`] for how places are written.
    #[must_use]
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        self.0.errors.push(ProblemError { pointer: cut(pointer.into()), detail: cut(detail.into()) });
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The kind of problem.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// What is wrong, in words.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The places that are wrong.
    #[must_use]
    pub fn errors(&self) -> &[ProblemError] {
        &self.0.errors
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Inner { status, code, detail, errors, headers } = *self.0;
        let mut response = ProblemDetails::from_status_code(status)
            .with_detail(detail)
            .with_extensions(Extensions { code, errors, trace_id: request_id::current() })
            .into_response();
        response.headers_mut().extend(headers);
        response
    }
}

/// The text, shortened in its middle when it is too long, since both ends tell something.
fn cut(text: String) -> String {
    let count = text.chars().count();
    if count <= DETAIL_CHARS_MAX {
        return text;
    }
    let half = DETAIL_CHARS_MAX / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head} … {tail}")
}
