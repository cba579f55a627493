//! `/v1/orders`: place, show, list.

use std::collections::BTreeMap;

use amends_contract::{self as contract, SagaId, Timestamp, Token};
use amends_engine::Saga;
use amends_service::problem::{Json, Path, Problem, Problems, Query};
use amends_store::SagaFilter;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::auth::Caller;
use super::super::paging;
use super::super::submit::{Submission, Terms, submit};
use super::super::{errors, input, tags};
use crate::idempotency::{Answer, meaning};
use crate::orders::{self, CUSTOMER_LABEL, OrderRequest, OrderStatus, OrderView};

/// Most pages of sagas that one page of orders is picked from: a filter that hardly anything passes must
/// not read the whole table in one request.
const PAGES_MAX: u32 = 5;

/// Places an order.
///
/// Answered 202 as soon as the order is stored; it settles by itself. With `Prefer: wait=5` the answer is
/// held back until it has, for so many seconds at most. A business failure is an order with the status
/// `rejected`, not an error.
#[utoipa::path(post, path = "/v1/orders", tag = "orders", security(("api_key" = ["order"])),
    params(
        ("idempotency-key" = String, Header, description = "Your own text for this request, 1 to 255 visible ASCII \
            characters; the same one when you try again."),
        ("prefer" = Option<String>, Header, description = "`wait=<seconds>`: hold the answer back until the order \
            has settled."),
    ),
    request_body = OrderRequest,
    responses(
        (status = 200, description = "The order has settled while you waited.", body = OrderView),
        (status = 202, description = "The order is taken.", body = OrderView,
            headers(("location" = String, description = "Where the order is."))),
        Problems,
    ))]
pub(super) async fn place(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Json(request): Json<OrderRequest>,
) -> Result<Response, Problem> {
    let terms = Terms::of(&app, &headers)?;
    let Some(loaded) = app.core.definitions().latest(orders::DEFINITION) else {
        let detail = "no saga definition named `order` is loaded, so no order can be taken";
        return Err(Problem::unavailable("no-definition", detail, app.api.retry_after_s));
    };
    let start_at = request.start_at;
    let order = request.into_input().or_else(|errors| input::refuse(errors).map(|()| Value::Null))?;
    let order = contract::Json::from(order);
    input::check(&loaded, &order, "#")?;
    let submission = Submission {
        definition: loaded.definition,
        meaning: match start_at {
            // As it was before there was a moment to choose: keys outlive releases.
            None => meaning("POST /v1/orders", &order),
            Some(at) => meaning("POST /v1/orders", &json!({ "order": order, "start_at": at })),
        },
        input: order,
        start_at,
    };
    let accepted = |id: SagaId, order: &contract::Json| accepted(id, order, start_at);
    submit(&app, &caller, terms, submission, accepted, |saga| Answer::body(&OrderView::of(saga))).await
}

fn accepted(id: SagaId, order: &contract::Json, start_at: Option<Timestamp>) -> Answer {
    let location = format!("/v1/orders/{id}");
    Answer {
        status: StatusCode::ACCEPTED.as_u16(),
        headers: BTreeMap::from([("location".to_owned(), location)]),
        body: Answer::body(&OrderView::accepted(id, order, start_at)),
    }
}

/// Shows an order.
#[utoipa::path(get, path = "/v1/orders/{id}", tag = "orders", security(("api_key" = ["order"])),
    params(
        ("id" = String, Path, description = "The order's id."),
        ("if-none-match" = Option<String>, Header, description = "The `ETag` you have."),
    ),
    responses(
        (status = 200, body = OrderView, headers(("etag" = String))),
        (status = 304, description = "It is as you have it."),
        Problems,
    ))]
pub(super) async fn show(
    State(app): State<App>,
    headers: HeaderMap,
    Path(id): Path<SagaId>,
) -> Result<Response, Problem> {
    let (saga, order) = find(&app, id).await?;
    Ok(tags::answer(&headers, &saga, order))
}

/// The order and its saga.
pub(super) async fn find(app: &App, id: SagaId) -> Result<(Saga, OrderView), Problem> {
    let saga = app.core.store().saga(id).await.map_err(|error| errors::of_store(app, error))?;
    let order = saga.and_then(|saga| OrderView::of(&saga).map(|order| (saga, order)));
    order.ok_or_else(|| Problem::not_found(format!("there is no order {id}")))
}

/// Which orders.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only of this customer.
    customer: Option<String>,
    /// Only with this status: pending, confirmed, rejected, cancelled, abandoned.
    status: Option<String>,
    /// Go on where an earlier list ended: its `next_cursor`.
    cursor: Option<String>,
    /// At most so many.
    limit: Option<u32>,
}

/// Some orders.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OrderList {
    /// The newest first.
    orders: Vec<OrderView>,
    /// Where the next page begins; none when there is nothing more.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<SagaId>,
}

/// Lists orders, the newest first.
#[utoipa::path(get, path = "/v1/orders", tag = "orders", security(("api_key" = ["order"])), params(Wanted),
    responses((status = 200, body = OrderList), Problems))]
pub(super) async fn list(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<OrderList>, Problem> {
    let limit = paging::limit(wanted.limit, &app.api)?;
    let status: Option<OrderStatus> = paging::parse("status", wanted.status.as_deref())?;
    let mut next_cursor: Option<SagaId> = paging::parse("cursor", wanted.cursor.as_deref())?;
    let customer = wanted.customer;
    let filter = SagaFilter {
        statuses: status.map(OrderStatus::saga_statuses).unwrap_or_default(),
        definition: Token::new(orders::DEFINITION).ok(),
        labels: customer.iter().map(|customer| (CUSTOMER_LABEL.to_owned(), customer.clone())).collect(),
        ..SagaFilter::default()
    };
    // The database filters by what it has indexed; the rest (cancelled or rejected) is picked here.
    let fits = |order: &OrderView| {
        status.is_none_or(|status| order.status == status)
            && customer.as_ref().is_none_or(|customer| *order.customer_id == **customer)
    };
    let mut orders = Vec::new();
    for _ in 0..PAGES_MAX {
        let rows_max = limit - u32::try_from(orders.len()).unwrap_or(limit);
        let page = app.core.store().sagas(&filter, next_cursor, rows_max).await;
        let page = page.map_err(|error| errors::of_store(&app, error))?;
        for row in page.rows {
            match row.saga {
                Ok(saga) => orders.extend(OrderView::of(&saga).filter(fits)),
                Err(error) => tracing::error!(%error, "an order is left out of a list"),
            }
        }
        next_cursor = page.next;
        if next_cursor.is_none() || orders.len() >= limit as usize {
            break;
        }
    }
    Ok(Json(OrderList { orders, next_cursor }))
}
