//! Under which id a request stands in the log.
//!
//! Invariant: the id is plain visible ASCII of bounded length, whatever the client sent.

use axum::http::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header that carries the id in both directions.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Longest id taken from a client, in bytes.
const BYTES_MAX: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task answers; `None` outside of one.
#[must_use]
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// The client's id if it is harmless, else a new one.
pub(super) fn of_request(headers: &HeaderMap) -> String {
    headers
        .get(HEADER)
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()))
        .map_or_else(|| Uuid::now_v7().simple().to_string(), str::to_owned)
}

/// Answers a request under this id.
pub(super) async fn within<F: Future>(id: String, request: F) -> F::Output {
    CURRENT.scope(id, request).await
}
