//! Errors of core and store as problems.
//!
//! Invariant: what may pass by itself is 503 with `Retry-After`; only a bug is 500.

use amends_service::Problem;
use amends_store::{Error, ErrorKind};
use axum::http::StatusCode;

use super::app::App;
use crate::core::{CoreError, MessagesError, OperateError, RedriveError};

/// The database does not do what it should.
pub(super) fn of_store(app: &App, error: Error) -> Problem {
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown | ErrorKind::Failed => {
            tracing::warn!(%error, "the database does not answer as it should");
            unavailable(app, "the database is not available at the moment; try again shortly")
        }
        ErrorKind::Config
        | ErrorKind::Open
        | ErrorKind::Locked
        | ErrorKind::Schema
        | ErrorKind::Poison
        | ErrorKind::Unreadable
        | ErrorKind::DefinitionChanged
        | ErrorKind::NoSuchKey => Problem::internal(&error),
    }
}

/// A saga was not started.
pub(super) fn of_start(app: &App, error: &CoreError) -> Problem {
    match error {
        CoreError::Overloaded(overload) => {
            let retry_after_s = app.retry_after_s(overload.settles_in_ms);
            Problem::unavailable("overloaded", error.to_string(), retry_after_s)
        }
        CoreError::Unavailable => unavailable(app, &format!("{error}, under the same Idempotency-Key")),
        CoreError::Engine(why) => {
            Problem::bad_request("invalid-input", "the definition cannot take this input")
                .with_error("#", why)
        }
    }
}

/// An action had no effect.
pub(super) fn of_operate(app: &App, error: &OperateError) -> Problem {
    match error {
        OperateError::NotFound => Problem::not_found(error.to_string()),
        OperateError::Refused { why, allowed } => {
            let allowed = if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            Problem::new(StatusCode::CONFLICT, "refused", format!("{why}; allowed now: {allowed}"))
        }
        OperateError::UnknownDefinition(_) => {
            Problem::new(StatusCode::CONFLICT, "definition-unknown", error.to_string())
        }
        OperateError::Overloaded => {
            Problem::unavailable("overloaded", error.to_string(), app.retry_after_s(None))
        }
        OperateError::Unavailable => unavailable(app, &error.to_string()),
        OperateError::Failed(_) => Problem::internal(error),
    }
}

/// A dead letter was not sent again.
pub(super) fn of_redrive(app: &App, error: RedriveError) -> Problem {
    match error {
        RedriveError::Store(error) => of_store(app, error),
        RedriveError::NotFound(_) => Problem::not_found(error.to_string()),
        RedriveError::Refused(_) => Problem::new(StatusCode::CONFLICT, "refused", error.to_string()),
        RedriveError::NotSent(_) => unavailable(app, &format!("{error}; try again, which is safe")),
    }
}

/// A saga's messages cannot be looked at.
pub(super) fn of_messages(app: &App, error: MessagesError) -> Problem {
    match error {
        MessagesError::NotFound(_) => Problem::not_found(error.to_string()),
        MessagesError::Broker(error) => of_broker(app, &error),
        MessagesError::Store(error) => of_store(app, error),
    }
}

/// The broker cannot be asked.
pub(super) fn of_broker(app: &App, error: &amends_broker::Error) -> Problem {
    tracing::warn!(%error, "the broker does not answer as it should");
    unavailable(app, &format!("{error}; try again shortly"))
}

/// A signal was not taken.
pub(super) fn of_signal(app: &App, error: &OperateError) -> Problem {
    match error {
        OperateError::Refused { why, .. } => Problem::new(StatusCode::CONFLICT, "refused", why.clone()),
        _ => of_operate(app, error),
    }
}

fn unavailable(app: &App, detail: &str) -> Problem {
    Problem::unavailable("unavailable", detail, app.retry_after_s(None))
}
