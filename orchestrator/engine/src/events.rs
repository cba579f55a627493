//! What the world is told of a saga.
//!
//! Invariant: an event's id follows from saga and journal alone, so that publishing again repeats it.

use amends_contract::{Event, ORCHESTRATOR, Timestamp, Token};
use serde_json::{Value, json};

use crate::{Saga, Status};

/// The events of a transition that led from `before` (`None`: nothing) to the saga as it is.
pub(crate) fn of(saga: &Saga, before: Option<Status>, now: Timestamp) -> impl Iterator<Item = Event> {
    let status = saga.status();
    let created = before.is_none().then_some("created");
    let turned = if before == Some(status) { None } else { name(status) };
    created.into_iter().chain(turned).map(move |name| event(saga, name, status, now))
}

/// What is said when a saga comes to stand like this.
const fn name(status: Status) -> Option<&'static str> {
    match status {
        Status::Running | Status::Compensating => None,
        Status::Parked => Some("parked"),
        Status::Completed => Some("completed"),
        Status::Compensated => Some("compensated"),
        Status::Abandoned => Some("abandoned"),
    }
}

fn event(saga: &Saga, name: &str, status: Status, now: Timestamp) -> Event {
    let token = |text| Token::new(text).unwrap_or_else(|_| unreachable!("a literal of this file is a token"));
    let mut data = json!({
        "id": saga.id,
        "definition": saga.definition,
        "status": status,
        "labels": saga.labels,
    });
    if let (Some(failure), Value::Object(data)) = (&saga.failure, &mut data) {
        data.insert("failure".to_owned(), json!(failure));
    }
    Event {
        id: format!("{}/{}/{name}", saga.id, saga.version),
        source: token(ORCHESTRATOR),
        entity: saga.definition.name.clone(),
        name: token(name),
        at: now,
        saga: Some((saga.id, saga.definition.clone())),
        data: data.into(),
    }
}
