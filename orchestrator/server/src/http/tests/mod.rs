//! Both routers as callers see them, over the real core and a SQLite file. There is no broker: what
//! participants would answer is put into the database as the engine decides it.

mod actions;
mod admin;
mod audit;
mod auth;
mod bad_input;
mod beginning;
mod children;
mod dead_letters;
mod idempotency;
mod orders;
mod overload;
mod participants;
mod places;
mod requests;
mod retention;
mod schemas;
mod services;
mod signals;
mod versions;
mod world;

use axum::http::StatusCode;

use self::world::Answer;

/// Status, code, and each place with what is wrong there, as text.
fn problem(answer: &Answer) -> String {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    assert_eq!(answer.body["status"], answer.status.as_u16(), "{answer:?}");
    assert_eq!(answer.body["trace_id"], answer.header("x-request-id"), "{answer:?}");
    assert_ne!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{answer:?}");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let errors = answer.body["errors"].as_array().cloned().unwrap_or_default();
    let errors: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", text(&error["pointer"]), text(&error["detail"])))
        .collect();
    format!("{} {} [{}]", answer.status.as_u16(), text(&answer.body["code"]), errors.join("; "))
}
