//! Reads request bodies within bounds of size and time.
//!
//! Invariant: a body over the limit is answered 413 after the rest was read and thrown away, as far as
//! that is bearable: a client that is still writing when the connection closes never sees the answer.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use super::Problem;

/// How large a body may be and how long it may take; put into each request by the HTTP layers.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest body, in bytes.
    pub body_bytes_max: usize,
    /// Longest time for reading it.
    pub body_timeout: Duration,
}

/// How much of an oversized body is read and thrown away so that its sender gets to see the 413.
const DISCARD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A whole body within [`Limits`].
pub(super) struct Body(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let limits = request.extensions().get::<Limits>().copied().unwrap_or_else(|| {
            let config = crate::HttpConfig::default();
            config.limits()
        });
        match tokio::time::timeout(limits.body_timeout, read(request, limits.body_bytes_max)).await {
            Ok(body) => body.map(Self),
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body-timeout",
                format!("the body did not arrive within {} ms", limits.body_timeout.as_millis()),
            )),
        }
    }
}

async fn read(request: Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut body = request.into_body();
    let mut taken = BytesMut::new();
    let mut seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::bad_request("body-incomplete", format!("the body could not be read: {error}"))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen <= bytes_max {
            taken.extend_from_slice(&data);
        } else if seen > bytes_max.saturating_add(DISCARD_BYTES_MAX) {
            break;
        }
    }
    if seen > bytes_max {
        let detail = format!("a body may have at most {bytes_max} bytes");
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", detail);
        return Err(problem.with_error("#", "the body is too large"));
    }
    Ok(taken.freeze())
}
