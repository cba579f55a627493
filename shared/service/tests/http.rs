//! What a client sees of the layers and extractors: problems with place and remedy, ids, limits, draining.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use amends_service::http::{bind, serve, with_layers};
use amends_service::problem::{Json, Path, Problem, Query};
use amends_service::{Health, HttpConfig};
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::{get, post};
use futures::future::join_all;
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Order {
    customer: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: String,
    quantity: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    customer: Option<String>,
    limit: Option<u32>,
}

fn config() -> HttpConfig {
    HttpConfig { body_bytes_max: 400, ..HttpConfig::on_port(0) }
}

fn router() -> Router {
    let list =
        |Query(wanted): Query<Wanted>| async move { format!("{:?} {:?}", wanted.customer, wanted.limit) };
    let router = Router::new()
        .route("/orders", post(|Json(order): Json<Order>| async move { Json(order) }).get(list))
        .route("/numbers/{number}", get(|Path(number): Path<u32>| async move { number.to_string() }))
        .route("/maybe", post(|body: Option<Json<Line>>| async move { body.is_some().to_string() }))
        .route("/anything", post(|Json(value): Json<Value>| async move { Json(value) }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("with a secret")
                }
            }),
        )
        .route("/broken", get(|| async { Problem::internal(&"with a secret") }));
    with_layers(router, &config())
}

async fn send(request: Request<Body>) -> Response<Body> {
    router().oneshot(request).await.unwrap()
}

async fn json_of(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{bytes:?}"))
}

/// Status, code, and each place with what is wrong there, as text.
async fn problem(request: Request<Body>) -> String {
    let response = send(request).await;
    let status = response.status();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let body = json_of(response).await;
    assert_eq!(body["status"], status.as_u16());
    assert_eq!(body["title"], status.canonical_reason().unwrap());
    assert_eq!(body["trace_id"], id, "the same id in header and body");
    assert!(!body["detail"].as_str().unwrap().is_empty());
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let errors: Vec<String> = errors
        .iter()
        .map(|error| format!("{}: {}", error["pointer"].as_str().unwrap(), error["detail"].as_str().unwrap()))
        .collect();
    format!("{} {} [{}]", status.as_u16(), body["code"].as_str().unwrap(), errors.join("; "))
}

fn post_json(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    request.body(body.into()).unwrap()
}

fn get_path(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_body_that_is_wrong_is_answered_with_the_place() {
    let line = |line: Value| json!({ "customer": "c", "lines": [{ "sku": "a", "quantity": 1 }, line] });
    let cases = [
        (
            line(json!({ "sku": "b", "quantity": -1 })),
            "400 invalid-body [#/lines/1/quantity: invalid value: integer `-1`, expected u32 at line 1 column 64]",
        ),
        (
            line(json!({ "sku": "b", "quantity": 1, "colour": "red" })),
            "400 invalid-body [#/lines/1/colour: unknown field `colour`, expected `sku` or `quantity` at line 1 \
             column 59]",
        ),
        (
            line(json!({ "quantity": 1 })),
            "400 invalid-body [#/lines/1: missing field `sku` at line 1 column 64]",
        ),
        (
            json!({ "customer": "c", "lines": [], "a/b": 1 }),
            "400 invalid-body [#/a~1b: unknown field `a/b`, expected `customer` or `lines` at line 1 column 6]",
        ),
        (line(json!({ "sku": "\0", "quantity": 1 })), "400 invalid-body [#/lines/1/sku: contains \\u0000]"),
        (
            json!([]),
            "400 invalid-body [#: invalid length 0, expected struct Order with 2 elements at line 1 column 2]",
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(problem(post_json("/orders", body.to_string())).await, expected);
    }
}

#[tokio::test]
async fn what_is_no_json_is_said() {
    let cases: [(&[u8], &str); 5] = [
        (b"{", "400 malformed-json [#: EOF while parsing an object at line 1 column 1]"),
        (b"", "400 malformed-json [#: EOF while parsing a value at line 1 column 0]"),
        (b"{} x", "400 malformed-json [#: trailing characters at line 1 column 4]"),
        (
            b"\"a\0b\"",
            "400 malformed-json [#: control character (\\u0000-\\u001F) found while parsing a string at line 1 column 3]",
        ),
        (b"\"\xff\"", "400 malformed-json [#: invalid unicode code point at line 1 column 2]"),
    ];
    for (body, expected) in cases {
        assert_eq!(problem(post_json("/anything", body.to_vec())).await, expected);
    }
    let deep = "[".repeat(200);
    let expected = "400 malformed-json [#: recursion limit exceeded at line 1 column 128]";
    assert_eq!(problem(post_json("/anything", deep)).await, expected);
    // A backslash before `u0000` is no NUL.
    assert_eq!(send(post_json("/anything", r#""\\u0000""#)).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_of_another_type_or_size_is_refused() {
    let form = Request::post("/orders").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    assert_eq!(
        problem(form.body(Body::from("a=b")).unwrap()).await,
        "415 unsupported-media-type [header:content-type: it is \"application/x-www-form-urlencoded\"]"
    );
    let untyped = Request::post("/orders").body(Body::from("{}")).unwrap();
    assert_eq!(problem(untyped).await, "415 unsupported-media-type [header:content-type: there is none]");
    let charset = Request::post("/anything").header(header::CONTENT_TYPE, "application/json; charset=utf-8");
    assert_eq!(send(charset.body(Body::from("1")).unwrap()).await.status(), StatusCode::OK);
    let large = format!("\"{}\"", "x".repeat(1024 * 1024));
    let expected = "413 body-too-large [#: the body is too large]";
    assert_eq!(problem(post_json("/orders", large)).await, expected);
}

#[tokio::test]
async fn a_body_may_be_left_out_where_it_is_optional() {
    for (request, expected) in [
        (Request::post("/maybe").body(Body::empty()).unwrap(), "false"),
        (post_json("/maybe", ""), "false"),
        (post_json("/maybe", r#"{"sku":"a","quantity":1}"#), "true"),
    ] {
        let bytes = send(request).await.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, expected);
    }
    let untyped = Request::post("/maybe").body(Body::from("{}")).unwrap();
    assert_eq!(problem(untyped).await, "415 unsupported-media-type [header:content-type: there is none]");
}

#[tokio::test]
async fn parameters_are_read_strictly() {
    let cases = [
        ("/orders?limit=x", "400 invalid-query [?limit: invalid digit found in string]"),
        ("/orders?limt=1", "400 invalid-query [?limt: unknown field `limt`, expected `customer` or `limit`]"),
        ("/orders?limit=1&limit=2", "400 invalid-query [?limit: is given more than once]"),
        ("/orders?customer=a%00b", "400 invalid-query [?customer: contains %00]"),
        ("/numbers/x", "400 invalid-path [path:number: Cannot parse `x` to a `u32`]"),
        ("/numbers/%00", "400 invalid-path [path:: contains %00]"),
    ];
    for (path, expected) in cases {
        assert_eq!(problem(get_path(path)).await, expected);
    }
    assert_eq!(send(get_path("/orders?customer=%ff&limit=3")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn beside_the_routes_are_problems_too() {
    assert_eq!(problem(get_path("/nowhere")).await, "404 not-found []");
    let delete = || Request::delete("/orders").body(Body::empty()).unwrap();
    assert_eq!(problem(delete()).await, "405 method-not-allowed []");
    let allow = send(delete()).await.headers()[header::ALLOW].to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
}

#[tokio::test]
async fn our_own_faults_tell_nothing_but_the_id() {
    for path in ["/panic", "/broken"] {
        let response = send(get_path(path)).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = json_of(response).await;
        assert!(!body.to_string().contains("secret"), "{body}");
        assert_eq!(body["code"], "internal");
        assert!(body["trace_id"].is_string());
    }
}

#[tokio::test]
async fn a_harmless_id_of_the_client_is_kept_and_another_replaced() {
    let id = |value: &'static [u8]| async move {
        let value = axum::http::HeaderValue::from_bytes(value).unwrap();
        let request = Request::get("/nowhere").header("x-request-id", value).body(Body::empty()).unwrap();
        send(request).await.headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(b"abc-123").await, "abc-123");
    for strange in [&b"a b"[..], b"\xff", b""] {
        assert_eq!(id(strange).await.len(), 32);
    }
}

#[tokio::test]
async fn a_long_quote_of_the_input_is_cut() {
    let sku = "x".repeat(300);
    let body = json!({ "customer": "c", "lines": [{ "sku": "a", "quantity": sku }] });
    let said = problem(post_json("/orders", body.to_string())).await;
    assert!(said.len() < 700, "{}", said.len());
}

#[tokio::test]
async fn readiness_names_each_check_and_does_not_wait_for_ever() {
    let shutdown = CancellationToken::new();
    let health = Health::new("test", &shutdown);
    health.add("database", || async { Ok(()) });
    health.add_advisory("broker", || async { Err("not connected".to_owned()) });
    let router = with_layers(amends_service::openapi::with_docs(health.router()), &config());
    let ask = |path: &'static str| {
        let router = router.clone();
        async move {
            let response = router.oneshot(get_path(path)).await.unwrap();
            (response.status(), response.into_body().collect().await.unwrap().to_bytes())
        }
    };
    let (status, body) = ask("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap(),
        json!({ "ready": true, "checks": [
            { "name": "broker", "ok": false, "required": false, "problem": "not connected" },
            { "name": "database", "ok": true, "required": true },
        ] })
    );
    health.add("database", || async { Err("gone".to_owned()) });
    assert_eq!(ask("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    health.add("database", || async { Ok(()) });
    assert_eq!(ask("/readyz").await.0, StatusCode::OK);
    shutdown.cancel();
    assert_eq!(ask("/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ask("/livez").await.0, StatusCode::OK);
    let (_, version) = ask("/version").await;
    assert_eq!(serde_json::from_slice::<Value>(&version).unwrap()["service"], "test");
    let (_, docs) = ask("/openapi.json").await;
    assert!(serde_json::from_slice::<Value>(&docs).unwrap()["paths"]["/readyz"].is_object());
    assert_eq!(ask("/docs/").await.0, StatusCode::OK);
    let _ = amends_service::metrics::Metrics::of_process();
    metrics::counter!("amends_test_total").increment(1);
    let (_, text) = ask("/metrics").await;
    assert!(String::from_utf8(text.to_vec()).unwrap().contains("amends_test_total 1"));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_has_failed() {
    let health = Health::new("test", &CancellationToken::new());
    health.add("broker", std::future::pending::<Result<(), String>>);
    let readiness = health.check().await;
    assert!(!readiness.ready);
    assert_eq!(readiness.checks[0].problem.as_deref(), Some("no answer within 2 s"));
}

/// Serves on a free port until the token is cancelled.
async fn server(
    router: Router,
    config: HttpConfig,
) -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = bind(&config).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    (address, shutdown, tokio::spawn(async move { serve(listener, router, &config, stop).await }))
}

#[tokio::test]
async fn running_requests_are_finished_and_no_new_ones_taken() {
    let (entered, mut entries) = tokio::sync::mpsc::channel(1);
    let release = CancellationToken::new();
    let gate = release.clone();
    let slow = get(move || async move {
        entered.send(()).await.unwrap();
        gate.cancelled().await;
        "done"
    });
    let (address, shutdown, served) = server(Router::new().route("/slow", slow), config()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entries.recv().await.unwrap();
    shutdown.cancel();
    // The listener is gone as soon as the shutdown was noticed; until then a connection may be queued.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    release.cancel();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_takes_too_long_is_cut_off_and_nothing_of_it_stays() {
    struct State(#[expect(dead_code, reason = "only its end matters")] tokio::sync::mpsc::Sender<()>);
    let (alive, mut end) = tokio::sync::mpsc::channel(1);
    let state = std::sync::Arc::new(State(alive));
    let (entered, mut entries) = tokio::sync::mpsc::channel(1);
    let slow = get(move || async move {
        let _state = state;
        entered.send(()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let config = HttpConfig { drain_timeout_ms: 20, ..config() };
    let (address, shutdown, served) = server(Router::new().route("/slow", slow), config).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entries.recv().await.unwrap();
    // One that never sends a whole request must not hold it up either.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(b"GET /slow HT").await.unwrap();
    shutdown.cancel();
    served.await.unwrap().unwrap();
    assert_eq!(end.recv().await, None, "every clone of the router is dropped");
}

/// The seconds of a refusal that has to have a word when to come back.
fn retry_after(answer: &str) -> u32 {
    let line = answer.lines().find(|line| line.to_ascii_lowercase().starts_with("retry-after: "));
    line.and_then(|line| line[13..].trim().parse().ok()).unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn beyond_all_connections_one_is_told_when_to_come_back() {
    let config = HttpConfig { connections_max: 1, ..config() };
    let (address, shutdown, served) =
        server(Router::new().route("/", get(|| async { "here" })), config).await;
    let ask = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(ask).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");

    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(ask).await.unwrap();
    let mut answer = String::new();
    second.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("application/problem+json"), "{answer}");
    assert!(retry_after(&answer) >= 1 && answer.contains(r#""code":"overloaded""#), "{answer}");
    // One place is free again as soon as the server has seen that its client is gone.
    drop(first);
    let answer = loop {
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        third.read_to_string(&mut answer).await.unwrap();
        if !answer.starts_with("HTTP/1.1 503") {
            break answer;
        }
    };
    assert!(answer.ends_with("here"), "{answer}");
    shutdown.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn beyond_all_requests_one_is_told_when_to_come_back_and_health_is_answered() {
    let (entered, mut entries) = tokio::sync::mpsc::channel(1);
    let release = CancellationToken::new();
    let gate = release.clone();
    let slow = get(move || async move {
        entered.send(()).await.unwrap();
        gate.cancelled().await;
    });
    let health = Health::new("test", &CancellationToken::new());
    let router = Router::new().route("/slow", slow).merge(health.router().split_for_parts().0);
    let router = with_layers(router, &HttpConfig { requests_max: 1, ..config() });
    let running = tokio::spawn(router.clone().oneshot(get_path("/slow")));
    entries.recv().await.unwrap();
    let refused = router.clone().oneshot(get_path("/slow")).await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(json_of(refused).await["code"], "overloaded");
    assert_eq!(router.clone().oneshot(get_path("/readyz")).await.unwrap().status(), StatusCode::OK);
    release.cancel();
    assert_eq!(running.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(router.oneshot(get_path("/readyz")).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_sender_of_too_much_sees_the_answer() {
    let (address, shutdown, served) = server(router(), config()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let body = vec![b'x'; 1024 * 1024];
    let head = format!(
        "POST /orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&body).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    shutdown.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let config = HttpConfig { body_timeout_ms: 20, ..config() };
    let orders = post(|Json(order): Json<Order>| async move { Json(order) });
    let (address, shutdown, served) = server(Router::new().route("/orders", orders), config).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let head = "POST /orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n\
                content-length: 9\r\n\r\n{";
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("body-timeout"), "{answer}");
    shutdown.cancel();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_burst_of_connections_waits_until_it_is_taken() {
    // Nobody takes any: without room in the queue the system would drop what does not fit.
    let listener = bind(&config()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = join_all((0..400).map(|_| TcpStream::connect(address))).await;
    assert!(connections.iter().all(Result::is_ok));
}

#[tokio::test]
async fn an_address_in_use_is_said_with_the_remedy() {
    let (address, shutdown, served) = server(router(), config()).await;
    let taken = HttpConfig { listen: address.to_string(), ..config() };
    let error = bind(&taken).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()) && error.contains("choose another port"), "{error}");
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(30), served).await.unwrap().unwrap().unwrap();
}
