//! `Prefer: wait=5` (RFC 7240): hold the answer back until it is final, for so long at most.

use std::time::Duration;

use amends_service::Problem;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::ApiConfig;

const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Says that the preference was heard.
pub(super) const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the caller would wait, in whole seconds, cut to what is allowed. Other preferences are left to
/// others, as the RFC wants it.
pub(super) fn wait(headers: &HeaderMap, config: &ApiConfig) -> Result<Option<Duration>, Problem> {
    for value in headers.get_all(PREFER) {
        let wrong = |why: &str| {
            Problem::bad_request("invalid-header", "the header Prefer cannot be read")
                .with_error("header:prefer", why)
        };
        let value = value.to_str().map_err(|_| wrong("it is not ASCII"))?;
        for preference in value.split(',') {
            let (name, rest) = preference.split_once('=').unwrap_or((preference, ""));
            if !name.trim().eq_ignore_ascii_case("wait") {
                continue;
            }
            // Parameters may follow a preference; `wait` has none.
            let seconds = rest.split(';').next().unwrap_or_default().trim().trim_matches('"');
            let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
            if !is_number {
                return Err(wrong("wait is a number of seconds, such as wait=5"));
            }
            // More digits than fit are longer than allowed, too.
            let seconds = seconds.parse().unwrap_or(u32::MAX).min(config.wait_max_s);
            return Ok(Some(Duration::from_secs(seconds.into())));
        }
    }
    Ok(None)
}

/// The value of [`APPLIED`].
pub(super) fn applied(wait: Duration) -> HeaderValue {
    HeaderValue::from_str(&format!("wait={}", wait.as_secs())).unwrap_or_else(|_| unreachable!("digits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(value: &'static [u8]) -> Result<Option<u64>, String> {
        let value = HeaderValue::from_bytes(value).unwrap();
        let wait = wait(&HeaderMap::from_iter([(PREFER, value)]), &ApiConfig::default());
        wait.map(|wait| wait.map(|wait| wait.as_secs())).map_err(|problem| problem.errors()[0].detail.clone())
    }

    #[test]
    fn the_wait_is_read_and_cut() {
        assert_eq!(waits(b"wait=5"), Ok(Some(5)));
        assert_eq!(waits(b"respond-async, Wait = \"5\"; x=1"), Ok(Some(5)));
        assert_eq!(waits(b"wait=99999999999999999999"), Ok(Some(30)));
        assert_eq!(waits(b"return=minimal, handling=lenient"), Ok(None));
    }

    #[test]
    fn a_wait_that_cannot_be_read_is_said() {
        for value in [&b"wait"[..], b"wait=", b"wait=soon", b"wait=-1", b"wait=5s"] {
            assert_eq!(waits(value), Err("wait is a number of seconds, such as wait=5".to_owned()));
        }
        assert_eq!(waits(b"wait=\xff"), Err("it is not ASCII".to_owned()));
    }
}
