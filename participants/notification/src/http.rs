//! What operators see of mails.

use std::sync::Arc;

use amends_contract::{EffectId, SagaId, Timestamp};
use amends_participant::Database;
use amends_service::{Json, Problem, Query, openapi};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::domain::Occasion;
use crate::entity::mail::{Model, Status};
use crate::smtp::Smtp;
use crate::store::{self, Filter};

/// What the handlers work with.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) db: Database,
    pub(crate) smtp: Arc<Smtp>,
    pub(crate) page_count: u64,
    pub(crate) page_count_max: u64,
}

pub(crate) fn router(shown: Shown) -> OpenApiRouter {
    openapi::router("Mails", "The notification participant: what customers were told, and what is in doubt.")
        .routes(routes!(mails))
        .routes(routes!(mail_server))
        .with_state(shown)
}

/// Which mails to list.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only those in this status; `uncertain` are the ones in doubt.
    status: Option<Status>,
    /// Only those of this saga.
    #[param(value_type = Option<String>)]
    saga: Option<SagaId>,
    /// Where the page before ended: its `next`.
    #[param(value_type = Option<String>)]
    cursor: Option<EffectId>,
    /// How many at most.
    limit: Option<u64>,
}

/// One page of mails, newest first.
#[derive(Debug, Serialize, ToSchema)]
struct Page {
    items: Vec<Mail>,
    /// The `cursor` of the next page; null on the last.
    next: Option<String>,
}

/// A mail. Its text is not kept.
#[derive(Debug, Serialize, ToSchema)]
struct Mail {
    /// The effect id.
    id: String,
    /// The saga, such as an order.
    saga: String,
    occasion: Occasion,
    order: String,
    recipient: String,
    /// The same in every sending: search your mail server's log for it when the mail is in doubt.
    message_id: String,
    status: Status,
    /// Why it is not sent, yet or ever.
    reason: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl From<Model> for Mail {
    fn from(row: Model) -> Self {
        Self {
            id: row.effect,
            saga: row.saga.to_string(),
            occasion: row.occasion,
            order: row.order_id,
            recipient: row.recipient,
            message_id: row.message_id,
            status: row.status,
            reason: row.reason,
            created_at: Timestamp::from_unix_ms(row.created_at_ms),
            updated_at: Timestamp::from_unix_ms(row.updated_at_ms),
        }
    }
}

/// Mails, newest first.
#[utoipa::path(get, path = "/mails", tag = "mails", params(Wanted), responses((status = 200, body = Page)))]
async fn mails(State(shown): State<Shown>, Query(wanted): Query<Wanted>) -> Result<Json<Page>, Problem> {
    let limit = wanted.limit.unwrap_or(shown.page_count).clamp(1, shown.page_count_max.max(1));
    let filter = Filter {
        status: wanted.status,
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
    Ok(Json(Page { items: rows.into_iter().map(Mail::from).collect(), next }))
}

/// Whether the mail server can be reached.
#[derive(Debug, Serialize, ToSchema)]
struct Reach {
    reachable: bool,
    problem: Option<String>,
}

/// Whether the mail server can be reached now. Not part of `/readyz`: while it is away commands are taken
/// and kept, and restarting us would not bring it back.
#[utoipa::path(get, path = "/mail-server", tag = "mails", responses((status = 200, body = Reach)))]
async fn mail_server(State(shown): State<Shown>) -> Json<Reach> {
    let problem = shown.smtp.reach().await.err();
    Json(Reach { reachable: problem.is_none(), problem })
}
