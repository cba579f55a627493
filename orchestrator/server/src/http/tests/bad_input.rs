//! Fuzz targets of the REST API and the service subjects: bodies, queries, paths and headers of all kinds.
//!
//! Invariant: the answer is a success whose data are what was sent, or a problem that names the place; never an
//! internal error, and 503 only with the time to come back.

use std::panic::AssertUnwindSafe;

use amends_broker::Request as Asked;
use amends_fuzz::{Edited, Json, Text, target};
use amends_service::HttpConfig;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use bolero::TypeGenerator;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::super::services::Services;
use super::world::{Answer, World, ask, order};

/// Each of them asks the real store.
const COUNT: usize = 60;

const APPROVED: &str = "
saga: approved
version: 1
steps:
  - { name: approval, await: approval }
  - { name: ship, kind: pivot, call: inventory.ship, with: { by: \"=steps['approval']\" } }
";

/// A world that a target can ask in between.
struct Doors {
    runtime: Runtime,
    world: World,
    services: Services,
}

impl Doors {
    /// Of the definitions that ship, or of these.
    fn new(definitions: &[(&str, &str)]) -> AssertUnwindSafe<Self> {
        let runtime = Runtime::new().unwrap();
        let (world, services) = runtime.block_on(async {
            let world =
                if definitions.is_empty() { World::new().await } else { World::of(definitions).await };
            let services = Services::new(&world.app, &HttpConfig::on_port(0));
            (world, services)
        });
        AssertUnwindSafe(Self { runtime, world, services })
    }

    /// The answer to a request of the public API, or of the admin's; `None` where HTTP itself could not carry it.
    fn ask(
        &self,
        admin: bool,
        method: Method,
        uri: &str,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Option<Answer> {
        let uri: Uri = uri.parse().ok()?;
        let mut request = Request::builder().method(method).uri(uri).body(Body::from(body)).ok()?;
        let key = HeaderValue::from_str(&format!("Bearer {}", self.world.key)).unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, key);
        request.headers_mut().extend(headers);
        let router = if admin { &self.world.admin } else { &self.world.public };
        let answer = self.runtime.block_on(ask(router, request));
        is_honest(&answer);
        Some(answer)
    }

    fn post(&self, admin: bool, uri: &str, key: &str, body: &[u8]) -> Option<Answer> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("idempotency-key", HeaderValue::from_str(key).unwrap());
        self.ask(admin, Method::POST, uri, headers, body.to_vec())
    }

    fn get(&self, admin: bool, uri: &str) -> Option<Answer> {
        self.ask(admin, Method::GET, uri, HeaderMap::new(), Vec::new())
    }

    fn saga(&self, key: &str, definition: &str, input: Value) -> String {
        self.runtime.block_on(self.world.saga(key, definition, input))
    }
}

fn is_honest(answer: &Answer) {
    assert!(!answer.header("x-request-id").is_empty(), "{answer:?}");
    if answer.status.is_success() || answer.status == StatusCode::NOT_MODIFIED {
        return;
    }
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:?}");
    is_a_problem(&answer.body, answer.status.as_u16(), answer.header("retry-after"));
}

fn is_a_problem(problem: &Value, status: u16, retry_after: &str) {
    assert_eq!(problem["status"], status, "{problem}");
    assert!(status < 500 || (status == 503 && !retry_after.is_empty()), "{problem}");
    for text in ["code", "title", "detail"] {
        assert!(problem[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {problem}");
    }
    assert!(problem.to_string().len() < 64 * 1024, "{} bytes", problem.to_string().len());
    let errors = problem["errors"].as_array().cloned().unwrap_or_default();
    assert!(!errors.is_empty() || ![400, 413, 415, 422].contains(&status), "no place: {problem}");
    for error in errors {
        let place = error["pointer"].as_str().unwrap();
        assert!(["#", "?", "path:", "header:"].iter().any(|kind| place.starts_with(kind)), "{problem}");
        assert!(!error["detail"].as_str().unwrap().is_empty(), "{problem}");
    }
}

/// A good body of which one place is anything else, or something is there that should not.
#[derive(Clone, Debug, TypeGenerator)]
struct Odd {
    place: u8,
    value: Option<Json>,
    more: Option<(Text, Json)>,
}

impl Odd {
    fn of(&self, good: &Value) -> Value {
        let mut places = Vec::new();
        places_of(good, String::new(), &mut places);
        let mut body = good.clone();
        let place = &places[usize::from(self.place) % places.len()];
        match &self.value {
            Some(value) => *body.pointer_mut(place).unwrap() = value.get(),
            None => {
                let (parent, name) = place.rsplit_once('/').unwrap_or_default();
                if let Some(Value::Object(fields)) = body.pointer_mut(parent) {
                    fields.remove(name);
                }
            }
        }
        if let (Some((name, value)), Value::Object(fields)) = (&self.more, &mut body) {
            fields.insert(name.get(), value.get());
        }
        body
    }
}

fn places_of(value: &Value, pointer: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| places_of(field, format!("{pointer}/{name}"), places));
        }
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| places_of(item, format!("{pointer}/{index}"), places));
        }
        _ => {}
    }
    places.push(pointer);
}

/// A key that no other value of this run has: what is committed stays.
fn fresh() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// An order that was taken is kept as it was sent.
fn placed(doors: &Doors, body: &[u8]) {
    let Some(answer) = doors.post(false, "/v1/orders", &fresh(), body) else { return };
    if answer.status != StatusCode::ACCEPTED {
        return;
    }
    let sent: Value = serde_json::from_slice(body).unwrap();
    let shown = doors.get(false, &format!("/v1/orders/{}", answer.id())).unwrap();
    let saga = doors.get(true, &format!("/v1/sagas/{}", answer.id())).unwrap();
    for field in ["customer_id", "email", "lines"] {
        assert_eq!(saga.body["input"][field], sent[field], "{field}");
    }
    assert_eq!(shown.body["customer_id"], sent["customer_id"]);
}

#[test]
fn orders_of_any_bytes() {
    let doors = Doors::new(&[]);
    target!(count = COUNT; Edited, |edited: &Edited| placed(&doors, &edited.bytes(&order("c-1", 1).to_string())));
}

#[test]
fn odd_orders() {
    let doors = Doors::new(&[]);
    let mut good = order("c-1", 2);
    good["payment_token"] = json!("tok_visa");
    good["start_at"] = json!("2126-11-21T08:02:49.123Z");
    target!(count = COUNT; Odd, |odd: &Odd| placed(&doors, odd.of(&good).to_string().as_bytes()));
}

#[test]
fn orders_with_odd_texts() {
    let doors = Doors::new(&[]);
    target!(count = COUNT; (Text, Text, Text), |(customer, sku, token): &(Text, Text, Text)| {
        let mut body = order(&customer.get(), 1);
        body["lines"][0]["sku"] = json!(sku.get());
        body["payment_token"] = json!(token.get());
        placed(&doors, body.to_string().as_bytes());
    });
}

#[test]
fn odd_sagas() {
    let doors = Doors::new(&[("approved.v1.yaml", APPROVED)]);
    let good = json!({ "definition": "approved", "version": 1, "start_at": "2126-11-21T08:02:49.123Z", "input": { "a": [1] } });
    target!(count = COUNT; (Odd, bool), |(odd, admin): &(Odd, bool)| {
        let body = odd.of(&good);
        let answer = doors.post(*admin, "/v1/sagas", &fresh(), body.to_string().as_bytes()).unwrap();
        if answer.status == StatusCode::ACCEPTED {
            let saga = doors.get(true, &format!("/v1/sagas/{}", answer.id())).unwrap();
            assert_eq!(saga.body["input"], body["input"]);
        }
    });
}

#[test]
fn odd_actions() {
    let doors = Doors::new(&[]);
    let good = [
        json!({ "action": "retry-now", "reason": "because" }),
        json!({ "action": "settle-step", "reason": "because", "step": "reserve-stock", "effect": "do", "output": {} }),
        json!({ "action": "edit-and-retry", "reason": "because", "step": "ship.3", "effect": "undo", "data": {} }),
    ];
    let input = json!({ "customer_id": "c", "email": "a@b.example", "payment_token": "t", "lines": order("c", 1)["lines"],
        "total": { "amount": 1999, "currency": "EUR" } });
    let id = doors.saga("actions", "order", input);
    target!(count = COUNT; (u8, Odd), |(which, odd): &(u8, Odd)| {
        let body = odd.of(&good[usize::from(*which) % good.len()]).to_string();
        doors.post(true, &format!("/v1/sagas/{id}/actions"), &fresh(), body.as_bytes());
        doors.post(false, &format!("/v1/orders/{id}/cancel"), &fresh(), body.as_bytes());
    });
}

#[test]
fn odd_signals() {
    let doors = Doors::new(&[("approved.v1.yaml", APPROVED)]);
    target!(count = COUNT; (Json, Option<Edited>), |(data, edited): &(Json, Option<Edited>)| {
        let id = doors.saga(&fresh(), "approved", json!({}));
        let data = data.get().to_string();
        let body = edited.as_ref().map_or_else(|| data.clone().into_bytes(), |edited| edited.bytes(&data));
        let answer = doors.post(true, &format!("/v1/sagas/{id}/signals/approval"), &fresh(), &body).unwrap();
        if answer.status == StatusCode::OK {
            let saga = doors.get(true, &format!("/v1/sagas/{id}")).unwrap();
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            assert_eq!(saga.body["steps"][0]["action"]["output"], said);
        }
    });
}

#[test]
fn odd_queries_and_paths() {
    const PATHS: [&str; 9] = [
        "/v1/sagas",
        "/v1/sagas/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/journal",
        "/v1/dead-letters",
        "/v1/participants",
        "/v1/sagas/0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10/messages",
        "/v1/definitions",
        "/v1/sagas/{}",
        "/v1/definitions/{}",
        "/v1/dead-letters/{}",
    ];
    const NAMES: [&str; 14] = [
        "status",
        "flag",
        "definition",
        "version",
        "label",
        "step",
        "failure_code",
        "from",
        "before",
        "cursor",
        "limit",
        "counts",
        "after",
        "",
    ];
    let doors = Doors::new(&[]);
    target!((u8, Text, Vec<(u8, Text)>, bool), |(path, place, pairs, raw): &(
        u8,
        Text,
        Vec<(u8, Text)>,
        bool
    )| {
        let escaped = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let path = PATHS[usize::from(*path) % PATHS.len()].replace("{}", &escaped(&place.get()));
        let pairs = pairs.iter().take(3).map(|(name, value)| {
            let value = if *raw { value.get() } else { escaped(&value.get()) };
            format!("{}={value}", NAMES[usize::from(*name) % NAMES.len()])
        });
        let query: Vec<_> = pairs.collect();
        doors.get(true, &format!("{path}?{}", query.join("&")));
        doors.get(false, &format!("/v1/orders?{}", query.join("&")));
    });
}

#[test]
fn odd_headers() {
    const NAMES: [&str; 8] = [
        "idempotency-key",
        "prefer",
        "content-type",
        "authorization",
        "x-request-id",
        "if-none-match",
        "accept",
        "traceparent",
    ];
    let doors = Doors::new(&[]);
    target!(count = COUNT; Vec<(u8, Text)>, |pairs: &Vec<(u8, Text)>| {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in pairs.iter().take(4) {
            let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
            if let Ok(value) = HeaderValue::from_bytes(value.get().as_bytes()) {
                headers.append(name, value);
            }
        }
        // A caller who waits would wait for participants that are not there.
        headers.insert("prefer", HeaderValue::from_static("wait=0"));
        doors.ask(false, Method::POST, "/v1/orders", headers.clone(), order("c-1", 1).to_string().into_bytes());
        doors.ask(false, Method::GET, "/v1/orders", headers, Vec::new());
    });
}

#[test]
fn odd_requests_by_message() {
    const OPERATIONS: [&str; 6] = ["start", "get", "list", "action", "signal", "nothing"];
    let good = json!({ "definition": "approved", "input": {}, "idempotency_key": "k", "actor": "ada", "wait_s": 0,
        "id": "0198c1f0-6f3a-7cc1-b7a5-3f4e8d2a9c10", "name": "approval", "data": 1, "action": "cancel",
        "reason": "because", "limit": 1, "status": "parked" });
    let doors = Doors::new(&[("approved.v1.yaml", APPROVED)]);
    target!(count = COUNT; (u8, Odd, Option<Edited>, Text), |(operation, odd, edited, trace): &(u8, Odd, Option<Edited>, Text)| {
        let body = odd.of(&good).to_string();
        let body = edited.as_ref().map_or_else(|| body.clone().into_bytes(), |edited| edited.bytes(&body));
        let asked = Asked {
            endpoint: OPERATIONS[usize::from(*operation) % OPERATIONS.len()].to_owned(),
            traceparent: Some(trace.get()),
            body: body.into(),
            crowded: false,
        };
        let answer = doors.runtime.block_on(doors.services.answer(asked));
        if let Some((status, text)) = answer.error {
            assert!(!text.contains(char::is_control), "it stands in a header: {text:?}");
            let retry_after = answer.retry_after_s.map(|seconds: u32| seconds.to_string()).unwrap_or_default();
            is_a_problem(&serde_json::from_slice(&answer.body).unwrap(), status, &retry_after);
        }
    });
}
