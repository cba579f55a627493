//! Answers that need not be sent again: `ETag` and `If-None-Match` (RFC 9110, 8.8.3 and 13.1.2).

use amends_engine::Saga;
use amends_service::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A view of the saga: 304 when the caller has it already.
pub(super) fn answer(headers: &HeaderMap, saga: &Saga, view: impl Serialize) -> Response {
    let tag = of(saga);
    let known = headers.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    if known {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag)], Json(view)).into_response()
}

/// Weak, since another release of ours may show the same version in other words.
pub(super) fn of(saga: &Saga) -> HeaderValue {
    HeaderValue::from_str(&format!("W/\"{}\"", saga.version)).unwrap_or_else(|_| unreachable!("digits"))
}

fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let tag = opaque(tag.as_bytes());
    list.as_bytes().split(|byte| *byte == b',').any(|item| {
        let item = item.trim_ascii();
        item == b"*" || opaque(item) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = HeaderValue::from_static("W/\"7\"");
        for list in ["W/\"7\"", "\"7\"", "\"1\", W/\"7\"", "*"] {
            assert!(names(&HeaderValue::from_static(list), &tag), "{list}");
        }
        for list in ["W/\"77\"", "7", "", "\"1\",\"2\""] {
            assert!(!names(&HeaderValue::from_static(list), &tag), "{list}");
        }
    }
}
