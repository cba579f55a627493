//! What operators see of the stock, and how they bring more in.

mod returns;

use amends_participant::Database;
use amends_service::{Json, Path, Problem, Query, openapi};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::domain;
use crate::restock::{self, Item, Restock, Restocked};
use crate::store;

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Longest idempotency key in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) db: Database,
    pub(crate) page_count: u64,
    pub(crate) page_count_max: u64,
}

pub(crate) fn router(shown: Shown) -> OpenApiRouter {
    openapi::router("Inventory", "The inventory participant: what is there, what is reserved, what is sold.")
        .routes(routes!(inventory))
        .routes(routes!(bring_in))
        .routes(routes!(item))
        .routes(routes!(returns::returns))
        .with_state(shown)
}

/// Which part of the list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
    /// How many at most.
    limit: Option<u64>,
}

/// One page of the stock, by SKU.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    items: Vec<Item>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// The stock, by SKU.
#[utoipa::path(get, path = "/inventory", tag = "inventory", params(Wanted),
    responses((status = 200, body = Page)))]
async fn inventory(State(shown): State<Shown>, Query(wanted): Query<Wanted>) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(shown.page_count).clamp(1, shown.page_count_max.max(1));
    // One more than asked for tells whether there is another page.
    let rows = store::list(shown.db.reader(), wanted.cursor, limit.saturating_add(1)).await;
    let mut rows = rows.map_err(|error| problem(&error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.sku.clone());
    Ok(Json(Page { items: rows.into_iter().map(Item::from).collect(), next }))
}

/// The stock of one SKU.
#[utoipa::path(get, path = "/inventory/{sku}", tag = "inventory", params(("sku" = String, Path)),
    responses((status = 200, body = Item), (status = 404, description = "there is no such SKU")))]
async fn item(State(shown): State<Shown>, Path(sku): Path<String>) -> Result<Json<Item>, Problem> {
    let row = store::item(shown.db.reader(), &sku).await.map_err(|error| problem(&error))?;
    row.map(|row| Json(row.into())).ok_or_else(|| Problem::not_found(format!("there is no SKU {sku:?}")))
}

/// Brings stock in. With an `Idempotency-Key` only once, however often it is asked.
#[utoipa::path(post, path = "/inventory/restock", tag = "inventory", request_body = Restock,
    params(("Idempotency-Key" = Option<String>, Header, description = "a text of your own, such as a UUID")),
    responses((status = 200, body = Item), (status = 422, description = "the key belongs to another request")))]
async fn bring_in(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Json(wanted): Json<Restock>,
) -> Result<Response, Problem> {
    let key = key(&headers)?;
    check(&wanted)?;
    // A task of its own: a caller who hangs up must not break off a transaction.
    let task = tokio::spawn(async move { restock::restock(&shown.db, &wanted, key.as_deref()).await });
    let restocked = task.await.map_err(|error| Problem::internal(&error))?;
    match restocked.map_err(|error| problem(&error))? {
        Restocked::Done { answer, replayed } => Ok(answered(answer, replayed)),
        Restocked::OtherContent => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency-key-reused",
            "this Idempotency-Key was used for another request: send a new one",
        )),
        Restocked::TooMany => Err(wrong("#/quantity", "there would be more pieces than can be counted")),
    }
}

fn check(wanted: &Restock) -> Result<(), Problem> {
    if !domain::is_sku(&wanted.sku) {
        return Err(wrong("#/sku", "1 to 64 letters, digits, '-', '_' or '.' are expected"));
    }
    if wanted.quantity < 1 {
        return Err(wrong("#/quantity", "at least 1 is needed"));
    }
    Ok(())
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let wrong = |why: &str| {
        Problem::bad_request("invalid-header", "the header Idempotency-Key cannot be used")
            .with_error("header:idempotency-key", why)
    };
    match (keys.next(), keys.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(wrong("there is more than one")),
        (Some(key), None) => match key.to_str() {
            Ok(text) if (1..=KEY_BYTES_MAX).contains(&text.len()) => Ok(Some(text.to_owned())),
            _ => Err(wrong("1 to 255 visible ASCII characters are expected")),
        },
    }
}

fn wrong(pointer: &str, why: &str) -> Problem {
    Problem::bad_request("invalid-body", "the request cannot be carried out").with_error(pointer, why)
}

fn answered(answer: String, replayed: bool) -> Response {
    let mut response = Response::new(Body::from(answer));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A database that is away comes back; anything else is our fault.
fn problem(error: &DbErr) -> Problem {
    if amends_participant::is_unavailable(error) {
        Problem::unavailable("database-unavailable", "the database does not answer; try again", 1)
    } else {
        Problem::internal(error)
    }
}
