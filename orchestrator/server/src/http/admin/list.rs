//! `GET /v1/sagas`: find sagas.

use std::collections::BTreeMap;
use std::str::FromStr;

use amends_contract::{SagaId, Timestamp, Token};
use amends_engine::{Failure, Status};
use amends_service::problem::{Json, Problem, Problems, Query};
use amends_store::{Counts, Flag, SagaFilter, SagaRow};
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::app::App;
use super::super::{errors, paging};
use super::view::{DEFINITION_UNKNOWN, flags};
use crate::core::Definitions;

/// Which sagas. Different parameters narrow it down together.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Any of these, separated by commas: running, compensating, parked, completed, compensated, abandoned.
    status: Option<String>,
    /// All of these, separated by commas: needs_attention, awaiting, held, overdue, paused, alarm,
    /// definition_unknown.
    flag: Option<String>,
    /// The definition's name, such as `order`.
    definition: Option<String>,
    /// The definition's version.
    version: Option<u32>,
    /// All of these, separated by commas: `customer:c-1001`.
    label: Option<String>,
    /// The step that failed.
    step: Option<String>,
    /// Why it turned backward, such as `out-of-stock`.
    failure_code: Option<String>,
    /// Started at this time or later (RFC 3339).
    from: Option<String>,
    /// Started before this time (RFC 3339).
    before: Option<String>,
    /// Go on where an earlier list ended: its `next_cursor`.
    cursor: Option<String>,
    /// At most so many.
    limit: Option<u32>,
    /// Whether to count all sagas by status, too; that reads an index of all of them.
    #[serde(default)]
    counts: bool,
}

/// Some sagas.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagaList {
    /// The newest first.
    sagas: Vec<SagaItem>,
    /// Where the next page begins; none when there is nothing more.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<SagaId>,
    /// How many sagas there are in all, whatever was filtered; only if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<SagaCounts>,
}

/// How many sagas there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagaCounts {
    /// Doing their steps.
    running: u64,
    /// Undoing them.
    compensating: u64,
    /// Cannot go on without help.
    parked: u64,
    /// Ended with every step done.
    completed: u64,
    /// Ended with everything undone.
    compensated: u64,
    /// Ended by an operator without a promise of balance.
    abandoned: u64,
    /// Somebody should look at them; they are among the others.
    needs_attention: u64,
}

/// A saga in a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SagaItem {
    /// Its id.
    #[schema(value_type = String, format = "uuid")]
    id: SagaId,
    /// Name and version of its definition, as `order.v1`.
    definition: String,
    /// How it stands.
    status: String,
    /// What stands beside the status, such as `needs_attention`.
    #[schema(value_type = Vec<String>)]
    flags: Vec<&'static str>,
    /// For search.
    #[schema(value_type = BTreeMap<String, String>)]
    labels: BTreeMap<Token, String>,
    /// Why it turned backward.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    failure: Option<Failure>,
    /// When it was started.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it last took an input.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it wants attention next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// How many inputs it has taken.
    version: u64,
    /// Why this version of the program cannot read the rest of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<String>,
}

/// Lists sagas, the newest first.
#[utoipa::path(get, path = "/v1/sagas", tag = "sagas", security(("api_key" = ["operate"])), params(Wanted),
    responses((status = 200, body = SagaList), Problems))]
pub(super) async fn list(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<SagaList>, Problem> {
    let limit = paging::limit(wanted.limit, &app.api)?;
    let cursor = paging::parse("cursor", wanted.cursor.as_deref())?;
    let (store, definitions) = (app.core.store(), app.core.definitions());
    let filters = wanted.filters(definitions)?;
    let page =
        store.sagas_of_any(&filters, cursor, limit).await.map_err(|error| errors::of_store(&app, error))?;
    let counts = if wanted.counts {
        Some(store.counts().await.map_err(|error| errors::of_store(&app, error))?)
    } else {
        None
    };
    Ok(Json(SagaList {
        sagas: page.rows.into_iter().map(|row| SagaItem::new(row, definitions)).collect(),
        next_cursor: page.next,
        counts: counts.as_ref().map(SagaCounts::from),
    }))
}

impl Wanted {
    /// Whatever one of these finds. What needs attention because its definition is unknown here is not known
    /// to need it by its row.
    fn filters(&self, definitions: &Definitions) -> Result<Vec<SagaFilter>, Problem> {
        let flags: Vec<Named> = paging::parse_list("flag", self.flag.as_deref())?;
        let has = |wanted: Named| flags.contains(&wanted);
        let filter = self.filter(&flags)?;
        let unknown = |mut flags: Vec<Flag>| {
            flags.retain(|flag| *flag != Flag::NeedsAttention);
            SagaFilter { flags, open_of: definitions.open_of_unknown().open_of, ..filter.clone() }
        };
        Ok(if has(Named::DefinitionUnknown) {
            vec![unknown(filter.flags.clone())]
        } else if has(Named::Stored(Flag::NeedsAttention)) && !definitions.unknown().is_empty() {
            vec![unknown(filter.flags.clone()), filter]
        } else {
            vec![filter]
        })
    }

    fn filter(&self, flags: &[Named]) -> Result<SagaFilter, Problem> {
        let statuses: Vec<Status> = paging::parse_list("status", self.status.as_deref())?;
        let labels: Vec<Label> = paging::parse_list("label", self.label.as_deref())?;
        Ok(SagaFilter {
            statuses,
            flags: flags.iter().filter_map(Named::stored).collect(),
            definition: paging::parse("definition", self.definition.as_deref())?,
            version: self.version,
            labels: labels.into_iter().map(|Label(name, value)| (name, value)).collect(),
            failure_code: self.failure_code.clone(),
            failure_step: self.step.clone(),
            made_from: paging::parse("from", self.from.as_deref())?,
            made_before: paging::parse("before", self.before.as_deref())?,
            open_of: None,
        })
    }
}

/// A flag by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Of the row.
    Stored(Flag),
    /// Of this process.
    DefinitionUnknown,
}

impl Named {
    const fn stored(&self) -> Option<Flag> {
        match self {
            Self::Stored(flag) => Some(*flag),
            Self::DefinitionUnknown => None,
        }
    }
}

impl FromStr for Named {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let names = || Flag::ALL.map(Flag::as_str).join(", ");
        if text == DEFINITION_UNKNOWN {
            return Ok(Self::DefinitionUnknown);
        }
        let flag = Flag::ALL.into_iter().find(|flag| flag.as_str() == text);
        flag.map(Self::Stored)
            .ok_or_else(|| format!("{text:?} is not a flag: {}, {DEFINITION_UNKNOWN}", names()))
    }
}

/// A label with its value.
struct Label(String, String);

impl FromStr for Label {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| format!("{text:?} is not name:value, such as customer:c-1001"))?;
        Ok(Self(name.to_owned(), value.to_owned()))
    }
}

impl SagaItem {
    fn new(row: SagaRow, definitions: &Definitions) -> Self {
        let SagaRow { id, definition, version, status, started_at, updated_at, due_at, saga, strays: _ } =
            row;
        let (flags, labels, failure, unreadable) = match saga {
            Ok(saga) => (flags(&saga, definitions), saga.labels, saga.failure, None),
            Err(unreadable) => (Vec::new(), BTreeMap::new(), None, Some(unreadable.why)),
        };
        Self {
            id,
            definition,
            status,
            flags,
            labels,
            failure,
            started_at,
            updated_at,
            due_at,
            version,
            unreadable,
        }
    }
}

impl From<&Counts> for SagaCounts {
    fn from(counts: &Counts) -> Self {
        let of = |status: Status| counts.by_status.get(&status).copied().unwrap_or_default();
        Self {
            running: of(Status::Running),
            compensating: of(Status::Compensating),
            parked: of(Status::Parked),
            completed: of(Status::Completed),
            compensated: of(Status::Compensated),
            abandoned: of(Status::Abandoned),
            needs_attention: counts.needs_attention,
        }
    }
}
