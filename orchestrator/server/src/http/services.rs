//! `amends.svc.saga.*`: the admin API by request and reply, for stock NATS tools.
//!
//! A request becomes one to the same routes, so that JSON, rules and errors are those of REST. API keys guard
//! REST; here the permissions of the NATS account do: who may publish to the subject may do what it does.
//!
//! Invariant: nothing is decided here that a route decides.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use amends_broker::{Answer, Broker, Endpoint, Handler, Request as Asked, ServiceSpec};
use amends_contract::{Digest, ORCHESTRATOR, SagaId, Timestamp, Token, header as wire};
use amends_service::http::with_layers;
use amends_service::{HttpConfig, Problem};
use amends_store::ApiKey;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use super::admin;
use super::app::App;
use super::auth::Caller;
use crate::idempotency::Key;

/// Whose idempotency keys these are: nobody's API key, but an id of our own (RFC 9562, version 8).
const OWNER: Uuid = Uuid::from_u128(0x616d_656e_6473_8073_b476_635f_7361_6761);
/// Longest name that a caller may give itself, in characters: it stands in journals.
const ACTOR_CHARS_MAX: usize = 100;
/// Largest answer, in bytes; a page of a list is far smaller.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Start,
    Get,
    List,
    Action,
    Signal,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Start, Self::Get, Self::List, Self::Action, Self::Signal];

    const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Get => "get",
            Self::List => "list",
            Self::Action => "action",
            Self::Signal => "signal",
        }
    }
}

/// Answers requests by the routes of the admin API. Cheap to clone.
#[derive(Clone)]
pub(super) struct Services {
    app: App,
    routes: Router,
}

impl Services {
    /// By the admin API's routes, which ask for no API key here.
    pub(super) fn new(app: &App, config: &HttpConfig) -> Self {
        Self { app: app.clone(), routes: with_layers(admin::without_keys(app.clone()), config) }
    }

    /// Answers requests until the shutdown.
    pub(super) async fn run(self, broker: Broker, shutdown: CancellationToken) {
        if !self.app.service_subjects {
            return;
        }
        let names = broker.names().clone();
        let endpoint = |operation: Operation| {
            let token = Token::new(operation.name()).unwrap_or_else(|_| unreachable!("it is a token"));
            Endpoint { name: operation.name().to_owned(), subject: names.service(&token) }
        };
        let own = Token::new(ORCHESTRATOR).unwrap_or_else(|_| unreachable!("`orchestrator` is a token"));
        let spec = ServiceSpec {
            name: names.service_name(&own),
            description: "Start, list and inspect sagas, act on them, and send them signals.".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata: [("prefix".to_owned(), names.prefix().to_string())].into(),
            endpoints: Operation::ALL.into_iter().map(endpoint).collect(),
            concurrency_max: self.app.api.service_requests_max,
        };
        // The handler lives as long as the loop below, and with it the core.
        let handler: Handler = Arc::new(move |asked| {
            let services = self.clone();
            Box::pin(async move { services.answer(asked).await })
        });
        broker.serve(spec, handler, shutdown).await;
    }

    /// Answers one request.
    pub(super) async fn answer(&self, asked: Asked) -> Answer {
        let asked = if asked.crowded { Err(self.crowded()) } else { request(&asked) };
        let response = match asked {
            Ok(request) => {
                let answered: Result<Response, Infallible> = self.routes.clone().oneshot(request).await;
                answered.unwrap_or_else(|never| match never {})
            }
            Err(problem) => problem.into_response(),
        };
        let status = response.status();
        let retry_after_s = response.headers().get(header::RETRY_AFTER);
        let retry_after_s = retry_after_s.and_then(|it| it.to_str().ok()).and_then(|it| it.parse().ok());
        let content_type = response.headers().get(header::CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok()).unwrap_or_default().to_owned();
        let body = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await.unwrap_or_default();
        let error = (!status.is_success()).then(|| (status.as_u16(), what_is_wrong(status, &body)));
        Answer { body, content_type, error, retry_after_s }
    }

    fn crowded(&self) -> Problem {
        let detail = "as many requests are being answered as may be, and this one was not looked at; try again after \
                      the seconds that Retry-After says";
        Problem::unavailable("overloaded", detail, self.app.retry_after_s(None))
    }
}

/// A problem in one line.
fn what_is_wrong(status: StatusCode, problem: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(problem).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_else(|| status.canonical_reason().unwrap_or_default());
    match problem["code"].as_str() {
        Some(code) => format!("{code}: {detail}"),
        None => detail.to_owned(),
    }
}

/// The same request as REST has it.
fn request(asked: &Asked) -> Result<Request<Body>, Problem> {
    let operation = Operation::ALL.into_iter().find(|operation| operation.name() == asked.endpoint);
    let operation = operation.ok_or_else(|| Problem::not_found("there is no such operation"))?;
    let mut fields = fields(&asked.body)?;
    let caller = caller(take_text(&mut fields, "actor")?.as_deref())?;
    let (mut headers, mut query) = (Vec::new(), String::new());
    let (method, path) = match operation {
        Operation::Start => {
            headers.push(("idempotency-key", key(&mut fields)?));
            if let Some(seconds) = fields.remove("wait_s") {
                headers.push(("prefer", format!("wait={}", seconds.get())));
            }
            (Method::POST, "/v1/sagas".to_owned())
        }
        Operation::List => {
            query = as_query(&std::mem::take(&mut fields))?;
            (Method::GET, "/v1/sagas".to_owned())
        }
        Operation::Get => (Method::GET, format!("/v1/sagas/{}", id(&mut fields)?)),
        Operation::Action => (Method::POST, format!("/v1/sagas/{}/actions", id(&mut fields)?)),
        Operation::Signal => {
            let (id, name) = (id(&mut fields)?, take_text(&mut fields, "name")?);
            let name = name.ok_or_else(|| wrong("#/name", "it is missing: which signal"))?;
            let name = Token::new(&name).map_err(|error| wrong("#/name", &error.to_string()))?;
            (Method::POST, format!("/v1/sagas/{id}/signals/{name}"))
        }
    };
    let body = match operation {
        Operation::Start | Operation::Action => Some(as_text(&fields)),
        Operation::Get | Operation::List => nothing_left(&fields).map(|()| None)?,
        Operation::Signal => {
            let data = as_text(&fields.remove("data"));
            nothing_left(&fields).map(|()| Some(data))?
        }
    };
    let uri = if query.is_empty() { path } else { format!("{path}?{query}") };
    let mut request = Request::builder().method(method).uri(uri).extension(caller);
    if let Some(traceparent) = &asked.traceparent {
        request = request.header(wire::TRACEPARENT, traceparent);
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = match body {
        Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)),
        None => request.body(Body::empty()),
    };
    request.map_err(|error| wrong("#", &format!("it cannot be asked for: {error}")))
}

/// What a request says, by the names of its fields; what is in them is the route's business.
type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The fields of the body; nothing at all says nothing.
fn fields(body: &[u8]) -> Result<Fields<'_>, Problem> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Fields::new());
    }
    serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            return wrong("#", "a JSON object is expected");
        }
        Problem::bad_request("malformed-json", "the body is not JSON").with_error("#", error.to_string())
    })
}

fn as_text(fields: &impl Serialize) -> String {
    serde_json::to_string(fields).unwrap_or_else(|_| unreachable!("JSON that was read can be written"))
}

/// What stands in a field.
fn value(raw: &RawValue) -> Result<Value, Problem> {
    serde_json::from_str(raw.get()).map_err(|error| {
        Problem::bad_request("malformed-json", "the body is not JSON").with_error("#", error.to_string())
    })
}

/// The idempotency key is a field here.
fn key(fields: &mut Fields<'_>) -> Result<String, Problem> {
    let name = "idempotency_key";
    let Some(key) = take_text(fields, name)? else {
        let detail = "send the field idempotency_key with a text of your own, such as a UUID, and the same one \
                      when you try again: so that trying again cannot start two";
        return Err(Problem::bad_request("missing-idempotency-key", detail)
            .with_error("#/idempotency_key", "it is missing"));
    };
    let key = Key::new(key.as_bytes()).map_err(|error| wrong("#/idempotency_key", &error.to_string()))?;
    Ok(key.as_str().to_owned())
}

fn id(fields: &mut Fields<'_>) -> Result<SagaId, Problem> {
    let id = take_text(fields, "id")?.ok_or_else(|| wrong("#/id", "it is missing: the saga's id"))?;
    id.parse::<SagaId>().map_err(|error| wrong("#/id", &error.to_string()))
}

fn take_text(fields: &mut Fields<'_>, name: &str) -> Result<Option<String>, Problem> {
    match fields.remove(name).map(value).transpose()? {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(&format!("#/{name}"), "a text is expected")),
    }
}

fn nothing_left(fields: &Fields<'_>) -> Result<(), Problem> {
    match fields.keys().next() {
        None => Ok(()),
        Some(name) => Err(wrong(&format!("#/{name}"), "there is no such field here")),
    }
}

/// Filters of a list as its query.
fn as_query(fields: &Fields<'_>) -> Result<String, Problem> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, raw) in fields {
        match value(raw)? {
            Value::Null => {}
            Value::String(text) => drop(query.append_pair(name, &text)),
            Value::Bool(_) | Value::Number(_) => drop(query.append_pair(name, raw.get())),
            Value::Array(_) | Value::Object(_) => {
                return Err(wrong(&format!("#/{name}"), "several values are one text, separated by commas"));
            }
        }
    }
    Ok(query.finish())
}

/// Who asks, by its own word: the broker tells nobody who it was.
fn caller(name: Option<&str>) -> Result<Caller, Problem> {
    let name = name.unwrap_or("somebody");
    let is_name = !name.trim().is_empty() && name.chars().count() <= ACTOR_CHARS_MAX;
    if !is_name || name.chars().any(char::is_control) {
        return Err(wrong("#/actor", "1 to 100 printable characters are expected"));
    }
    Ok(Caller(Arc::new(ApiKey {
        id: OWNER,
        name: name.to_owned(),
        prefix: "over NATS".to_owned(),
        hash: Digest::of(&[]),
        scopes: Vec::new(),
        created_at: Timestamp::from_unix_ms(0),
        revoked_at: None,
        last_used_at: None,
    })))
}

fn wrong(pointer: &str, why: &str) -> Problem {
    Problem::bad_request("invalid-body", "the body is JSON but not what is expected here")
        .with_error(pointer, why)
}
