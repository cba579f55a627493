//! Who is calling, and may they.
//!
//! Invariant: a request is let through before anything of its body is read, or not at all.

use std::sync::Arc;

use amends_service::Problem;
use amends_store::ApiKey;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::app::App;
use super::errors;
use crate::keys::{Refusal, Scope};

const HOW_TO: &str = "send `Authorization: Bearer <API key>`; a key is made by \
                      `amends key create --scope <order|operate|admin> --name <name>`";

/// The API key that a request came with.
#[derive(Clone)]
pub(super) struct Caller(pub(super) Arc<ApiKey>);

impl Caller {
    /// As the journal has it.
    pub(super) fn actor(&self) -> String {
        format!("{} ({})", self.0.name, self.0.prefix)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Problem::internal(&"a handler wants a caller, but its route lets anybody in"))
    }
}

/// The middleware for routes that need a scope: `from_fn_with_state((app, Scope::Order), require)`.
pub(super) async fn require(
    State((app, scope)): State<(App, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let key = match bearer(request.headers()) {
        Some(text) => app.door.open(text).await,
        None => return Err(unauthorized("this needs an API key", "Bearer realm=\"amends\"")),
    };
    let key = match key {
        Ok(key) => key,
        Err(error @ Refusal::Unknown) => {
            let challenge = "Bearer realm=\"amends\", error=\"invalid_token\"";
            return Err(unauthorized(&error.to_string(), challenge));
        }
        Err(Refusal::Store(error)) => return Err(errors::of_store(&app, error)),
    };
    if !scope.is_in(&key.scopes) {
        return Err(forbidden(&key, scope));
    }
    request.extensions_mut().insert(Caller(key));
    Ok(next.run(request).await)
}

/// The credentials of `Authorization: Bearer <..>`; an empty text when they are of another kind.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, credentials) = value.split_once(' ').unwrap_or_default();
    Some(if scheme.eq_ignore_ascii_case("bearer") { credentials.trim() } else { "" })
}

fn unauthorized(why: &str, challenge: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", format!("{why}: {HOW_TO}"))
        .with_error("header:authorization", why)
        .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
}

fn forbidden(key: &ApiKey, scope: Scope) -> Problem {
    let detail = format!(
        "this needs the scope `{scope}`; the API key {} has {}",
        key.prefix,
        if key.scopes.is_empty() { "none".to_owned() } else { key.scopes.join(", ") },
    );
    let challenge = format!("Bearer realm=\"amends\", error=\"insufficient_scope\", scope=\"{scope}\"");
    let problem = Problem::new(StatusCode::FORBIDDEN, "missing-scope", detail);
    match HeaderValue::from_str(&challenge) {
        Ok(challenge) => problem.with_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => unreachable!("scopes are plain words"),
    }
}
