//! `GET /v1/sagas/{id}/journal`.

use amends_contract::SagaId;
use amends_service::problem::{Json, Path, Problem, Problems, Query};
use amends_store::JournalRow;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::{errors, paging};
use super::show::missing;

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Those after this number; 0, or left out: from the beginning.
    after: Option<u64>,
    /// At most so many.
    limit: Option<u32>,
}

/// Lines of a journal.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct JournalPage {
    /// In their order: `seq`, `at`, `input`, `decisions`, `engine_version`. A line that this version of the program
    /// cannot read has `seq` and `unreadable`.
    #[schema(value_type = Vec<Object>)]
    entries: Vec<Value>,
    /// The `after` of the next page; none when there is nothing more so far.
    next_after: Option<u64>,
}

/// Shows what a saga was told, and what was decided about it.
#[utoipa::path(get, path = "/v1/sagas/{id}/journal", tag = "sagas", security(("api_key" = ["operate"])),
    params(("id" = String, Path, description = "The saga's id."), Wanted),
    responses((status = 200, body = JournalPage), Problems))]
pub(super) async fn journal(
    State(app): State<App>,
    Path(id): Path<SagaId>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<JournalPage>, Problem> {
    let limit = paging::limit(wanted.limit, &app.api)?;
    let (store, after) = (app.core.store(), wanted.after.unwrap_or_default());
    let mut rows =
        store.journal(id, after, limit + 1).await.map_err(|error| errors::of_store(&app, error))?;
    // A saga has at least one line; who asks behind the last one asks of a saga that may not be.
    if rows.is_empty() && store.saga(id).await.map_err(|error| errors::of_store(&app, error))?.is_none() {
        return Err(missing(id));
    }
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_after = rows.last().filter(|_| more).map(|row| row.seq);
    Ok(Json(JournalPage { entries: rows.into_iter().map(entry).collect(), next_after }))
}

fn entry(row: JournalRow) -> Value {
    match row.entry {
        Ok(entry) => json!(entry),
        Err(why) => json!({ "seq": row.seq, "unreadable": why }),
    }
}
