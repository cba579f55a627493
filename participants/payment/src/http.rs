//! What operators see of payments.

mod refunds;

use amends_contract::{EffectId, SagaId, Timestamp};
use amends_participant::Database;
use amends_service::{Json, Path, Problem, Query, openapi};
use axum::extract::State;
use iso_currency::Currency;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::domain::Money;
use crate::entity::payment::{Model, Status};
use crate::gateway::Gateway;
use crate::store::{self, Filter};

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) db: Database,
    pub(crate) gateway: Arc<dyn Gateway>,
    pub(crate) page_count: u64,
    pub(crate) page_count_max: u64,
}

pub(crate) fn router(shown: Shown) -> OpenApiRouter {
    openapi::router("Payments", "The payment participant: charges and refunds, and the provider behind it.")
        .routes(routes!(payments))
        .routes(routes!(payments_of_saga))
        .routes(routes!(refunds::refunds_of_order))
        .routes(routes!(provider))
        .with_state(shown)
}

/// Which payments to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only those in this status.
    status: Option<Status>,
    /// Only those of this customer.
    customer: Option<String>,
    /// Only those of this saga.
    #[param(value_type = Option<String>)]
    saga: Option<SagaId>,
    /// Where the page before ended: its `next`.
    #[param(value_type = Option<String>)]
    cursor: Option<EffectId>,
    /// How many at most.
    limit: Option<u64>,
}

/// One page of payments, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    items: Vec<Payment>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// A payment.
#[derive(Debug, Serialize, ToSchema)]
struct Payment {
    /// The charge's effect id: also its idempotency key at the provider.
    id: String,
    /// The saga, such as an order.
    saga: String,
    customer: String,
    amount: Money,
    status: Status,
    /// The provider's id of the charge.
    charge_id: Option<String>,
    /// The provider's id of the refund.
    refund_id: Option<String>,
    /// Why it was declined, not made, or not refunded.
    code: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Model> for Payment {
    fn from(row: Model) -> Self {
        // What we wrote is a currency; a row that somebody else touched shows as none (XXX, ISO 4217).
        let currency = Currency::from_code(&row.currency).unwrap_or(Currency::XXX);
        Self {
            id: row.effect,
            saga: row.saga.to_string(),
            customer: row.customer,
            amount: Money { amount: row.amount, currency },
            status: row.status,
            charge_id: row.charge_id,
            refund_id: row.refund_id,
            code: row.code,
            created_at: Timestamp::from_unix_ms(row.created_at_ms),
            updated_at: Timestamp::from_unix_ms(row.updated_at_ms),
        }
    }
}

/// Payments, newest first.
#[utoipa::path(get, path = "/payments", tag = "payments", params(Wanted),
    responses((status = 200, body = Page)))]
async fn payments(State(shown): State<Shown>, Query(wanted): Query<Wanted>) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(shown.page_count).clamp(1, shown.page_count_max.max(1));
    let filter = Filter {
        status: wanted.status,
        customer: wanted.customer,
        saga: wanted.saga,
        before: wanted.cursor.map(|effect| effect.to_string()),
    };
    // One more than asked for tells whether there is another page.
    let mut rows = store::list(shown.db.reader(), filter, limit.saturating_add(1))
        .await
        .map_err(|error| Problem::internal(&error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.effect.clone());
    Ok(Json(Page { items: rows.into_iter().map(Payment::from).collect(), next }))
}

/// The payments of one saga: one, unless an operator changed it and tried again.
#[utoipa::path(get, path = "/payments/{saga}", tag = "payments", params(("saga" = String, Path)),
    responses((status = 200, body = [Payment]), (status = 404, description = "it has none")))]
async fn payments_of_saga(
    State(shown): State<Shown>,
    Path(saga): Path<SagaId>,
) -> Result<Json<Vec<Payment>>, Problem> {
    let filter = Filter { saga: Some(saga), ..Filter::default() };
    let rows = store::list(shown.db.reader(), filter, shown.page_count_max)
        .await
        .map_err(|error| Problem::internal(&error))?;
    if rows.is_empty() {
        return Err(Problem::not_found(format!("saga {saga} has no payment here")));
    }
    Ok(Json(rows.into_iter().map(Payment::from).collect()))
}

/// Whether the provider can be reached.
#[derive(Debug, Serialize, ToSchema)]
struct Reach {
    reachable: bool,
    problem: Option<String>,
}

/// Whether the provider can be reached now. Not part of `/readyz`: while it is away commands are taken and
/// kept, and restarting us would not bring it back.
#[utoipa::path(get, path = "/provider", tag = "payments", responses((status = 200, body = Reach)))]
async fn provider(State(shown): State<Shown>) -> Json<Reach> {
    let problem = shown.gateway.reach().await.err();
    Json(Reach { reachable: problem.is_none(), problem })
}
