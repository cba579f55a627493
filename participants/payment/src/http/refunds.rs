//! What operators see of refunds that returns asked for.

use amends_contract::{SagaId, Timestamp};
use amends_service::{Json, Path, Problem};
use axum::extract::State;
use iso_currency::Currency;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shown;
use crate::domain::Money;
use crate::entity::refund::{Model, Status};
use crate::store;

/// Money of an order that was given back, or is about to be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refund {
    /// The effect id of the refund: also its idempotency key at the provider.
    id: String,
    /// The effect id of the charge.
    charge: String,
    amount: Money,
    status: Status,
    /// The provider's id of the refund.
    refund_id: Option<String>,
    /// Why it was refused or not made.
    code: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Model> for Refund {
    fn from(row: Model) -> Self {
        // As of a payment: a row that somebody else touched shows no currency (XXX, ISO 4217).
        let currency = Currency::from_code(&row.currency).unwrap_or(Currency::XXX);
        Self {
            id: row.effect,
            charge: row.charge,
            amount: Money { amount: row.amount, currency },
            status: row.status,
            refund_id: row.refund_id,
            code: row.code,
            created_at: Timestamp::from_unix_ms(row.created_at_ms),
            updated_at: Timestamp::from_unix_ms(row.updated_at_ms),
        }
    }
}

/// The refunds that returns of an order asked for, oldest first. An order that was undone as a whole shows
/// as `refunded` among the payments instead.
#[utoipa::path(get, path = "/payments/{saga}/refunds", tag = "payments", params(("saga" = String, Path)),
    responses((status = 200, body = [Refund])))]
pub(super) async fn refunds_of_order(
    State(shown): State<Shown>,
    Path(order): Path<SagaId>,
) -> Result<Json<Vec<Refund>>, Problem> {
    let rows = store::refunds::of_order(shown.db.reader(), order, shown.page_count_max)
        .await
        .map_err(|error| Problem::internal(&error))?;
    Ok(Json(rows.into_iter().map(Refund::from).collect()))
}
