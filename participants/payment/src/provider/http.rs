//! The provider's HTTP: charges, refunds, lists and switches.
//!
//! Invariant: an answer under an Idempotency-Key leaves only after it is in the books. Errors have the
//! shape of card processors, `{"error": {"code", "message"}}`: this server plays somebody else's.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use amends_service::Health;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use sea_orm::DbErr;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::books::{Books, BooksError, Operation};
use super::decide::{Answer, ChargeRequest, RefundRequest, Request};
use super::switches::happens;
use super::{Config, Switches, lists};

/// The request header that names what is asked for, once.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The response header that says `true` when the answer was stored before the request came.
const REPLAYED: &str = "idempotency-replayed";

/// Longest Idempotency-Key, in bytes, as card processors have it.
const KEY_BYTES_MAX: usize = 255;

/// Longest request body, in bytes: a charge is some hundred.
const BODY_BYTES_MAX: usize = 16 * 1024;

pub(super) struct Provider {
    config: Config,
    books: Books,
    switches: RwLock<Switches>,
    /// Counts requests, so that a failure by chance may go away when the request is repeated.
    requests: AtomicU64,
    shutdown: CancellationToken,
}

type Shared = State<Arc<Provider>>;

pub(super) fn router(config: Config, books: Books, shutdown: CancellationToken) -> Router {
    let health = Router::from(Health::new("provider", &shutdown).router());
    let switches = RwLock::new(config.switches.clone());
    let provider = Provider { config, books, switches, requests: AtomicU64::new(0), shutdown };
    Router::new()
        .route("/v1/charges", post(charge).get(charges))
        .route("/v1/refunds", post(refund).get(refunds))
        .route("/v1/books", get(balance))
        .route("/v1/switches", get(switches_now).put(set_switches))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Arc::new(provider))
        .merge(health)
}

async fn charge(
    State(provider): Shared,
    headers: HeaderMap,
    body: Result<Json<ChargeRequest>, JsonRejection>,
) -> Response {
    provider.settle(&headers, body.map(|Json(request)| Request::Charge(request))).await
}

async fn refund(
    State(provider): Shared,
    headers: HeaderMap,
    body: Result<Json<RefundRequest>, JsonRejection>,
) -> Response {
    provider.settle(&headers, body.map(|Json(request)| Request::Refund(request))).await
}

impl Provider {
    fn switches(&self) -> Switches {
        self.switches.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn settle(&self, headers: &HeaderMap, request: Result<Request, JsonRejection>) -> Response {
        let switches = self.switches();
        if switches.down {
            return unavailable("the provider is down");
        }
        let (key, request) = match (key(headers), request) {
            (Err(answer), _) => return answer.into_response(),
            (_, Err(rejection)) => {
                return Answer::error(400, "invalid_request", &rejection.body_text()).into_response();
            }
            (Ok(key), Ok(request)) => (key, request),
        };
        if let Some(problem) = request.problem() {
            return Answer::error(422, "invalid_request", problem).into_response();
        }
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        if happens(switches.failure_rate, &format!("{key}#{number}")) {
            return Answer::error(500, "api_error", "something went wrong; try again").into_response();
        }
        self.sleep(switches.latency_ms).await;
        let settled = match self.books.settle(Operation { key, request, switches }).await {
            Ok(settled) => settled,
            Err(BooksError::Busy) => return unavailable("too many requests are waiting"),
            Err(error @ BooksError::Unwritable) => {
                return Answer::error(500, "api_error", &error.to_string()).into_response();
            }
        };
        if settled.hang {
            self.sleep(self.config.hang_ms).await;
        }
        let mut response = settled.answer.into_response();
        if settled.replayed {
            response.headers_mut().insert(REPLAYED, header::HeaderValue::from_static("true"));
        }
        response
    }

    /// Sleeps, but not past the shutdown.
    async fn sleep(&self, ms: u64) {
        if ms > 0 {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                () = self.shutdown.cancelled() => {}
            }
        }
    }
}

fn key(headers: &HeaderMap) -> Result<String, Answer> {
    let refuse = |message| Err(Answer::error(400, "idempotency_key_missing", message));
    match headers.get(IDEMPOTENCY_KEY).map(header::HeaderValue::to_str) {
        None => refuse("the header Idempotency-Key is required"),
        Some(Ok(key)) if (1..=KEY_BYTES_MAX).contains(&key.len()) => Ok(key.to_owned()),
        Some(_) => refuse("an Idempotency-Key has 1 to 255 ASCII characters"),
    }
}

fn unavailable(message: &str) -> Response {
    let mut response = Answer::error(503, "unavailable", message).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    response
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    after: Option<i64>,
    limit: Option<u64>,
}

impl Provider {
    fn page(&self, query: Result<Query<PageQuery>, QueryRejection>) -> Result<(i64, u64), Answer> {
        let Query(query) =
            query.map_err(|rejection| Answer::error(400, "invalid_request", &rejection.body_text()))?;
        let limit = query.limit.unwrap_or(self.config.page_count).clamp(1, self.config.page_count_max.max(1));
        Ok((query.after.unwrap_or(0), limit))
    }
}

fn listed<T: serde::Serialize>(list: Result<T, DbErr>) -> Result<Json<T>, Answer> {
    list.map(Json).map_err(|error| {
        tracing::error!(%error, "the books cannot be read");
        Answer::error(500, "api_error", "the books cannot be read")
    })
}

async fn charges(
    State(provider): Shared,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Answer> {
    let (after, limit) = provider.page(query)?;
    listed(lists::charges(provider.books.db(), after, limit).await)
}

async fn refunds(
    State(provider): Shared,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Answer> {
    let (after, limit) = provider.page(query)?;
    listed(lists::refunds(provider.books.db(), after, limit).await)
}

async fn balance(
    State(provider): Shared,
    query: Result<Query<PageQuery>, QueryRejection>,
) -> Result<impl IntoResponse, Answer> {
    let (after, limit) = provider.page(query)?;
    listed(lists::balance(provider.books.db(), after, limit).await)
}

async fn switches_now(State(provider): Shared) -> Json<Switches> {
    Json(provider.switches())
}

async fn set_switches(
    State(provider): Shared,
    body: Result<Json<Switches>, JsonRejection>,
) -> Result<Json<Switches>, Answer> {
    let Json(switches) =
        body.map_err(|rejection| Answer::error(400, "invalid_request", &rejection.body_text()))?;
    if let Some((field, why)) = switches.problem() {
        return Err(Answer::error(422, "invalid_request", &format!("{field} {why}")));
    }
    tracing::info!(?switches, "switches set");
    provider.switches.write().unwrap_or_else(PoisonError::into_inner).clone_from(&switches);
    Ok(Json(switches))
}
