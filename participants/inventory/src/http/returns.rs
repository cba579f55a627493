//! What operators see of goods that come back.

use amends_contract::{EffectId, SagaId, Timestamp};
use amends_service::{Json, Problem, Query};
use axum::extract::State;
use sea_orm::DbErr;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Shown, problem};
use crate::domain::Lines;
use crate::entity::goods_return;
use crate::store;

/// Which returns.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct WantedReturns {
    /// Only those of this order: its saga's id.
    #[param(value_type = Option<String>)]
    order: Option<SagaId>,
    /// Where the page before ended: its `next`.
    #[param(value_type = Option<String>)]
    cursor: Option<EffectId>,
    /// How many at most.
    limit: Option<u64>,
}

/// One page of returns, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReturnsPage {
    items: Vec<GoodsReturn>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// Goods that come back.
#[derive(Debug, Serialize, ToSchema)]
struct GoodsReturn {
    /// The effect id of the command that took them back.
    id: String,
    /// The order: its saga's id.
    order: String,
    state: goods_return::State,
    /// Pieces by SKU.
    #[schema(value_type = std::collections::BTreeMap<String, i64>)]
    lines: Lines,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Returns, oldest first.
#[utoipa::path(get, path = "/returns", tag = "inventory", params(WantedReturns),
    responses((status = 200, body = ReturnsPage)))]
pub(super) async fn returns(
    State(shown): State<Shown>,
    Query(wanted): Query<WantedReturns>,
) -> Result<Json<ReturnsPage>, Problem> {
    let limit = wanted.limit.unwrap_or(shown.page_count).clamp(1, shown.page_count_max.max(1));
    let after = wanted.cursor.map(|effect| effect.to_string());
    let rows = store::returns::list(shown.db.reader(), wanted.order, after, limit.saturating_add(1)).await;
    let mut rows = rows.map_err(|error| problem(&error))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.id.clone());
    let shown = |row: goods_return::Model| {
        let lines = store::returns::lines(&row)?;
        let (created_at, updated_at) = (row.created_at_ms, row.updated_at_ms);
        Ok(GoodsReturn {
            id: row.id,
            order: row.order,
            state: row.state,
            lines,
            created_at: Timestamp::from_unix_ms(created_at),
            updated_at: Timestamp::from_unix_ms(updated_at),
        })
    };
    let items: Result<_, DbErr> = rows.into_iter().map(shown).collect();
    Ok(Json(ReturnsPage { items: items.map_err(|error| problem(&error))?, next }))
}
