//! Extractors for body, query and path that reject with problems.
//!
//! Invariant: a NUL character never reaches a handler: PostgreSQL's text cannot hold one, and that would
//! come back as an internal error.

use std::collections::BTreeSet;

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::body::Body;
use super::{Problem, position};

/// A JSON body, read strictly; as an answer, the same as axum's.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// The query's parameters; unknown ones are errors if `T` denies unknown fields.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The path's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let Body(bytes) = Body::from_request(request, state).await?;
        read_json(&bytes).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    /// `None` when there is no body at all, whatever its type would have been.
    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        let typed = require_json(request.headers());
        let Body(bytes) = Body::from_request(request, state).await?;
        if bytes.is_empty() {
            return Ok(None);
        }
        typed?;
        read_json(&bytes).map(Self).map(Some)
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains("%00") {
            return Err(Problem::bad_request("invalid-path", "a NUL character cannot be part of the path")
                .with_error("path:", "contains %00"));
        }
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => {
                let names = RawPathParams::from_request_parts(parts, state).await;
                let names: Vec<String> = names.iter().flatten().map(|(name, _)| name.to_owned()).collect();
                Err(wrong_path(rejection, &names))
            }
        }
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let essence = given.and_then(|text| text.split(';').next()).unwrap_or_default().trim();
    let is_json = essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let found = given.map_or_else(|| "there is none".to_owned(), |text| format!("it is {text:?}"));
    Err(Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "send the body as JSON, with the header `Content-Type: application/json`",
    )
    .with_error("header:content-type", found))
}

fn read_json<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let value = serde_json::from_slice(bytes).map_err(|_| what_is_wrong::<T>(bytes))?;
    reject_nul(bytes)?;
    Ok(value)
}

/// Reads once more, watching where it goes wrong: to watch what is right costs more than to read it.
fn what_is_wrong<T: DeserializeOwned>(bytes: &Bytes) -> Problem {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(error) => {
            let pointer = position::fragment(error.path());
            wrong_json(error.inner(), pointer)
        }
        Ok(_) => match deserializer.end() {
            Err(error) => wrong_json(&error, "#".to_owned()),
            Ok(()) => unreachable!("the same bytes were refused a moment ago"),
        },
    }
}

fn wrong_json(error: &serde_json::Error, pointer: String) -> Problem {
    if error.is_data() {
        return Problem::bad_request("invalid-body", "the body is JSON but not what is expected here")
            .with_error(pointer, error.to_string());
    }
    Problem::bad_request("malformed-json", "the body is not JSON").with_error("#", error.to_string())
}

/// JSON writes NUL as an escape only. A body with it is rare, so looking for its place may cost.
fn reject_nul(bytes: &Bytes) -> Result<(), Problem> {
    const ESCAPE: &[u8] = b"\\u0000";
    if !bytes.windows(ESCAPE.len()).any(|window| window == ESCAPE) {
        return Ok(());
    }
    let place = serde_json::from_slice::<Value>(bytes).ok().and_then(|value| position::nul(&value, "#"));
    // No place: the backslash was itself escaped.
    place.map_or(Ok(()), |pointer| {
        Err(Problem::bad_request("invalid-body", "a text must not contain the NUL character")
            .with_error(pointer, "contains \\u0000"))
    })
}

fn read_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    let wrong = |pointer: String, detail: String| {
        Problem::bad_request("invalid-query", "the query has a parameter that cannot be used here")
            .with_error(pointer, detail)
    };
    let mut seen = BTreeSet::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        let shown = format!("?{}", key.replace('\0', "%00"));
        if key.contains('\0') || value.contains('\0') {
            return Err(wrong(shown, "contains %00".to_owned()));
        }
        if !seen.insert(key) {
            return Err(wrong(shown, "is given more than once".to_owned()));
        }
    }
    let deserializer = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        wrong(format!("?{}", path.trim_start_matches('.')), error.inner().to_string())
    })
}

/// `names` are those of the route's parameters: where there is one, it is at fault.
fn wrong_path(rejection: PathRejection, names: &[String]) -> Problem {
    use axum::extract::path::ErrorKind;
    let PathRejection::FailedToDeserializePathParams(error) = rejection else {
        return Problem::internal(&rejection);
    };
    let detail = error.body_text();
    let detail = detail.strip_prefix("Invalid URL: ").unwrap_or(&detail).to_owned();
    let pointer = match error.into_kind() {
        ErrorKind::ParseErrorAtKey { key, .. }
        | ErrorKind::InvalidUtf8InPathParam { key }
        | ErrorKind::DeserializeError { key, .. } => format!("path:{key}"),
        _ => match names {
            [name] => format!("path:{name}"),
            _ => "path:".to_owned(),
        },
    };
    Problem::bad_request("invalid-path", "the path names nothing that can exist").with_error(pointer, detail)
}
