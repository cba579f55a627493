//! What an HTTP answer of the provider proves. Pure.
//!
//! Invariant: an answer is definite only if the provider has it stored under the key, or says of the
//! request itself that it can never be. A 500 may be a proxy's; only when the provider gives the same
//! one again as stored is it the end. 404 and the like prove nothing: the URL may be wrong.

use serde::Deserialize;

use crate::domain::Verdict;

/// An answer, as far as it matters.
pub(super) struct HttpAnswer {
    pub(super) status: u16,
    /// Whether the provider says that the answer was stored under the key before.
    pub(super) replayed: bool,
    /// `Retry-After` in milliseconds.
    pub(super) retry_after_ms: Option<u64>,
    pub(super) body: Vec<u8>,
}

#[derive(Deserialize)]
struct Done {
    id: String,
}

#[derive(Deserialize)]
struct Failed {
    error: Problem,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    message: String,
    /// Beside `charge_already_refunded`: which refund it was.
    refund_id: Option<String>,
}

/// Longest text of the provider that we pass on, in characters.
const TEXT_CHARS_MAX: usize = 500;

pub(super) fn classify(answer: &HttpAnswer) -> Verdict {
    let unknown = |code| Verdict::Unknown { code, retry_after_ms: answer.retry_after_ms };
    let not_made = |code| Verdict::NotMade { code, retry_after_ms: answer.retry_after_ms };
    if (200..300).contains(&answer.status) {
        return match serde_json::from_slice::<Done>(&answer.body) {
            Ok(done) => Verdict::Done { id: done.id },
            Err(_) => unknown("provider-unreadable"),
        };
    }
    let problem = serde_json::from_slice::<Failed>(&answer.body).ok().map(|failed| failed.error);
    match (answer.status, problem) {
        // The money is back; that it was under another key (an operator's new epoch) does not matter.
        (422, Some(Problem { code, refund_id: Some(id), .. })) if code == "charge_already_refunded" => {
            Verdict::Done { id }
        }
        // Something else was asked for under our key: what became of that, this answer does not say.
        (_, Some(problem)) if problem.code == "idempotency_key_reuse" => unknown("provider-key-reused"),
        (400 | 402 | 422, Some(problem)) => refused(problem),
        (500..600, Some(problem)) if answer.replayed => refused(problem),
        (409, _) => unknown("provider-in-flight"),
        (429, _) => not_made("provider-throttled"),
        (404, Some(problem)) if problem.code == "charge_not_found" => not_made("provider-charge-not-found"),
        (500..600, _) => unknown("provider-error"),
        _ => unknown("provider-misconfigured"),
    }
}

/// The provider's snake_case becomes our kebab-case; a code that is none becomes `declined`.
fn refused(problem: Problem) -> Verdict {
    let code: String = problem.code.to_ascii_lowercase().replace('_', "-");
    let code = if amends_contract::Token::is_valid(&code) { code } else { "declined".to_owned() };
    Verdict::Refused { code, message: problem.message.chars().take(TEXT_CHARS_MAX).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(status: u16, replayed: bool, body: &str) -> String {
        let answer = HttpAnswer { status, replayed, retry_after_ms: None, body: body.into() };
        match classify(&answer) {
            Verdict::Done { id } => format!("done {id}"),
            Verdict::Refused { code, .. } => format!("refused {code}"),
            Verdict::NotMade { code, .. } => format!("not made {code}"),
            Verdict::Unknown { code, .. } => format!("unknown {code}"),
        }
    }

    fn error(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"m","refund_id":"re_1"}}}}"#)
    }

    #[test]
    fn only_what_lasts_is_definite() {
        let definite = [
            (201, false, r#"{"id":"ch_1"}"#.to_owned(), "done ch_1"),
            (200, true, r#"{"id":"ch_1","status":"captured"}"#.to_owned(), "done ch_1"),
            (402, false, error("card_declined"), "refused card-declined"),
            (402, true, error("insufficient_funds"), "refused insufficient-funds"),
            (402, false, error("Ünlesbar!"), "refused declined"),
            (422, false, error("invalid_request"), "refused invalid-request"),
            (500, true, error("processing_error"), "refused processing-error"),
            (422, false, error("refund_exceeds_charge"), "refused refund-exceeds-charge"),
            (422, false, error("charge_already_refunded"), "done re_1"),
        ];
        for (status, replayed, body, expected) in definite {
            assert_eq!(verdict(status, replayed, &body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_rest_is_unknown() {
        let unknown = [
            (200, false, "<html>welcome to the hotel</html>".to_owned(), "provider-unreadable"),
            (302, false, String::new(), "provider-misconfigured"),
            (400, false, "Bad Request (some proxy)".to_owned(), "provider-misconfigured"),
            (401, false, error("unauthorized"), "provider-misconfigured"),
            (404, false, String::new(), "provider-misconfigured"),
            (409, false, error("in_flight"), "provider-in-flight"),
            (422, false, error("idempotency_key_reuse"), "provider-key-reused"),
            (500, false, error("processing_error"), "provider-error"),
            (500, true, "not ours".to_owned(), "provider-error"),
            (503, false, error("unavailable"), "provider-error"),
        ];
        for (status, replayed, body, expected) in unknown {
            assert_eq!(verdict(status, replayed, &body), format!("unknown {expected}"), "{status} {body}");
        }
    }

    #[test]
    fn some_answers_say_that_nothing_was_done() {
        assert_eq!(verdict(404, false, &error("charge_not_found")), "not made provider-charge-not-found");
        assert_eq!(verdict(429, false, "slow down"), "not made provider-throttled");
    }

    #[test]
    fn the_wish_to_wait_is_passed_on() {
        let answer = HttpAnswer { status: 503, replayed: false, retry_after_ms: Some(7_000), body: vec![] };
        let expected = Verdict::Unknown { code: "provider-error", retry_after_ms: Some(7_000) };
        assert_eq!(classify(&answer), expected);
    }
}
