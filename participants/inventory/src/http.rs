//! What people see of stock, and how goods come in.

use amends_participant::Database;
use amends_service::{Json, Path, Problem, Query, openapi};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use sea_orm::DatabaseTransaction;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::domain::{self, Level};
use crate::store::{self, Restocked};

/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) db: Database,
    pub(crate) page_count: u64,
    pub(crate) page_count_max: u64,
}

pub(crate) fn router(shown: Shown) -> OpenApiRouter {
    openapi::router("Inventory", "The inventory participant: what is there, reserved and sold.")
        .routes(routes!(inventory))
        .routes(routes!(article))
        .routes(routes!(restock))
        .with_state(shown)
}

/// Which articles to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Where the page before ended: its `next`.
    cursor: Option<String>,
    /// How many at most.
    limit: Option<u64>,
}

/// One page of articles, in the order of their SKUs.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    items: Vec<Article>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// What is there of one article, in units.
#[derive(Debug, Serialize, ToSchema)]
struct Article {
    sku: String,
    /// In the house, reserved or not.
    on_hand: i64,
    /// Promised to orders that have not settled.
    reserved: i64,
    /// What can still be promised.
    available: i64,
    /// Sold.
    deducted: i64,
    /// All that ever came in: `on_hand + deducted`.
    received: i64,
}

impl Article {
    const fn new(sku: String, level: Level) -> Self {
        let Level { on_hand, reserved, deducted, received } = level;
        Self { sku, on_hand, reserved, available: level.available(), deducted, received }
    }
}

/// Articles, in the order of their SKUs.
#[utoipa::path(get, path = "/inventory", tag = "inventory", params(Wanted),
    responses((status = 200, body = Page)))]
async fn inventory(State(shown): State<Shown>, Query(wanted): Query<Wanted>) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(shown.page_count).clamp(1, shown.page_count_max.max(1));
    // One more than asked for tells whether there is another page.
    let mut rows = store::list(shown.db.reader(), wanted.cursor.as_deref(), limit.saturating_add(1))
        .await
        .map_err(|error| Problem::internal(&error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(sku, _)| sku.clone());
    Ok(Json(Page { items: rows.into_iter().map(|(sku, level)| Article::new(sku, level)).collect(), next }))
}

/// One article.
#[utoipa::path(get, path = "/inventory/{sku}", tag = "inventory", params(("sku" = String, Path)),
    responses((status = 200, body = Article), (status = 404, description = "there is none")))]
async fn article(State(shown): State<Shown>, Path(sku): Path<String>) -> Result<Json<Article>, Problem> {
    let level = store::one(shown.db.reader(), &sku).await.map_err(|error| Problem::internal(&error))?;
    match level {
        Some(level) => Ok(Json(Article::new(sku, level))),
        None => Err(Problem::not_found(format!("SKU {sku:?} is unknown; POST /inventory/restock adds it"))),
    }
}

/// Goods that came in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Restock {
    /// The article; a new one is added.
    sku: String,
    /// Units, from 1.
    quantity: i64,
}

/// Adds units to an article. With an `Idempotency-Key` asking twice adds once.
#[utoipa::path(post, path = "/inventory/restock", tag = "inventory", request_body = Restock,
    params(("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, body = Article), (status = 400, description = "not a restocking"),
        (status = 422, description = "the key was used for something else")))]
async fn restock(
    State(shown): State<Shown>,
    headers: HeaderMap,
    Json(body): Json<Restock>,
) -> Result<Response, Problem> {
    let wrong = |pointer: &str, why: String| {
        Problem::bad_request("invalid-body", "goods cannot come in like this").with_error(pointer, why)
    };
    domain::check_sku(&body.sku).map_err(|why| wrong("#/sku", why))?;
    let quantity = domain::check_quantity(body.quantity).map_err(|why| wrong("#/quantity", why))?;
    let key = idempotency_key(&headers)?;
    let now = shown.db.now().await.map_err(|error| Problem::internal(&error))?;
    let tx = shown.db.begin().await.map_err(|error| Problem::internal(&error))?;
    let restocked = store::restock(&tx, &body.sku, quantity, key.as_deref(), now)
        .await
        .map_err(|error| Problem::internal(&error))?;
    answer(tx, restocked, body.sku).await
}

async fn answer(tx: DatabaseTransaction, restocked: Restocked, sku: String) -> Result<Response, Problem> {
    if matches!(restocked, Restocked::OtherUse) {
        let why = "this Idempotency-Key was used for another restocking; take a new one";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused", why));
    }
    let level = store::one(&tx, &sku).await.map_err(|error| Problem::internal(&error))?.unwrap_or_default();
    tx.commit().await.map_err(|error| Problem::internal(&error))?;
    let article = Json(Article::new(sku, level));
    Ok(match restocked {
        Restocked::Repeated => ([("idempotency-replayed", "true")], article).into_response(),
        Restocked::Added | Restocked::OtherUse => article.into_response(),
    })
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| {
        (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match text {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(Problem::bad_request(
            "invalid-idempotency-key",
            format!("Idempotency-Key: 1 to {KEY_BYTES_MAX} visible ASCII characters are expected"),
        )),
    }
}
