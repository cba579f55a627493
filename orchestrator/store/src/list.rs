//! Finding sagas: filters, keyset paging, counts.
//!
//! Ids are in time order, so the newest page is the highest ids, and a range of time is a range of ids.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use amends_contract::{DefinitionRef, Digest, SagaId, Timestamp, Token};
use amends_engine::{Saga, Status};
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Order, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, FromQueryResult as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QueryResult, QuerySelect, QueryTrait as _, Select,
};
use uuid::Uuid;

use crate::entity::saga::{self, Column, Entity};
use crate::entity::saga_label;
use crate::read::Unreadable;
use crate::rebuild::Stored;
use crate::text::indexed;
use crate::{Error, Store, strays};

/// Which sagas; an empty filter means all. Different fields narrow it down together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SagaFilter {
    /// Any of these; empty means any.
    pub statuses: Vec<Status>,
    /// All of these.
    pub flags: Vec<Flag>,
    /// The definition's name.
    pub definition: Option<Token>,
    /// The definition's version.
    pub version: Option<u32>,
    /// All of these labels with these values.
    pub labels: BTreeMap<String, String>,
    /// Why it turned backward.
    pub failure_code: Option<String>,
    /// The step that failed.
    pub failure_step: Option<String>,
    /// Made at this moment or later, by the clock in its id.
    pub made_from: Option<Timestamp>,
    /// Made before this moment, by the clock in its id.
    pub made_before: Option<Timestamp>,
    /// Not ended, and of any of these definitions, of this very source.
    pub open_of: Option<Vec<(DefinitionRef, Digest)>>,
}

/// A flag to filter by; see [`amends_engine::Flags`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Somebody should look.
    NeedsAttention,
    /// Waits for a signal.
    Awaiting,
    /// Not sent because of an outage.
    Held,
    /// Past its deadline.
    Overdue,
    /// Stopped by an operator.
    Paused,
    /// A participant contradicted itself.
    Alarm,
}

impl Flag {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::NeedsAttention, Self::Awaiting, Self::Held, Self::Overdue, Self::Paused, Self::Alarm];

    /// A stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NeedsAttention => "needs_attention",
            Self::Awaiting => "awaiting",
            Self::Held => "held",
            Self::Overdue => "overdue",
            Self::Paused => "paused",
            Self::Alarm => "alarm",
        }
    }

    const fn column(self) -> Column {
        match self {
            Self::NeedsAttention => Column::NeedsAttention,
            Self::Awaiting => Column::Awaiting,
            Self::Held => Column::Held,
            Self::Overdue => Column::Overdue,
            Self::Paused => Column::Paused,
            Self::Alarm => Column::Alarm,
        }
    }
}

/// One page of a list, newest first.
#[derive(Clone, Debug)]
pub struct Page<T, C> {
    /// The rows.
    pub rows: Vec<T>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<C>,
}

/// A saga in a list, with what its columns say even if its state cannot be read.
#[derive(Clone, Debug)]
pub struct SagaRow {
    /// The saga.
    pub id: SagaId,
    /// Name and version of its definition, as `order.v1`.
    pub definition: String,
    /// Its version.
    pub version: u64,
    /// How it stands.
    pub status: String,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it last took an input.
    pub updated_at: Timestamp,
    /// When it wants attention next.
    pub due_at: Option<Timestamp>,
    /// All of it, or why this version cannot read it.
    pub saga: Result<Saga, Unreadable>,
    /// Columns that do not say what the saga says.
    pub strays: Vec<&'static str>,
}

/// How many sagas there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// By status; those without any saga are left out.
    pub by_status: BTreeMap<Status, u64>,
    /// How many need attention.
    pub needs_attention: u64,
}

impl Store {
    /// Up to `limit` sagas older than `cursor`, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn sagas(
        &self,
        filter: &SagaFilter,
        cursor: Option<SagaId>,
        limit: u32,
    ) -> Result<Page<SagaRow, SagaId>, Error> {
        self.sagas_of_any(std::slice::from_ref(filter), cursor, limit).await
    }

    /// Up to `limit` sagas older than `cursor` that any of the filters lets through, newest first.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn sagas_of_any(
        &self,
        filters: &[SagaFilter],
        cursor: Option<SagaId>,
        limit: u32,
    ) -> Result<Page<SagaRow, SagaId>, Error> {
        let mut rows = Vec::new();
        for part in filters.iter().flat_map(SagaFilter::parts) {
            let (mut query, id) = part.select();
            if let Some(cursor) = cursor {
                query = query.filter(id.clone().lt(cursor.uuid()));
            }
            // One more tells whether there is a next page.
            let query = query.order_by(id, Order::Desc).limit(u64::from(limit) + 1);
            let statement = query.build(self.reader().get_database_backend());
            rows.extend(self.reader().query_all_raw(statement).await?.iter().filter_map(Listed::of));
        }
        rows.sort_by_key(|row| Reverse(row.id));
        rows.dedup_by_key(|row| row.id);
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = rows.last().filter(|_| more).map(|row| row.id);
        Ok(Page { rows: self.listed(rows).await?, next })
    }

    /// One saga as a list shows it, with what its columns say; `None` when there is none with this id.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn saga_row(&self, id: SagaId) -> Result<Option<SagaRow>, Error> {
        let statement = Entity::find_by_id(id.uuid()).build(self.reader().get_database_backend());
        let row = self.reader().query_one_raw(statement).await?.as_ref().and_then(Listed::of);
        Ok(self.listed(row.into_iter().collect()).await?.pop())
    }

    async fn listed(&self, rows: Vec<Listed>) -> Result<Vec<SagaRow>, Error> {
        let stored = |row: &Listed| {
            row.model.as_ref().ok().map(|model| Stored::new(row.id, model.version, &model.state))
        };
        let mut sagas =
            self.rebuild(self.reader(), rows.iter().filter_map(stored).collect()).await?.into_iter();
        let whole = |Listed { id, model }| match model {
            Ok(model) => {
                let saga = sagas.next().unwrap_or_else(|| unreachable!("there is one for each row"));
                SagaRow::new(id, model, saga)
            }
            Err(why) => SagaRow::broken(id, why),
        };
        Ok(rows.into_iter().map(whole).collect())
    }

    /// How many sagas a filter lets through; one that moves on meanwhile may count twice.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn count(&self, filter: &SagaFilter) -> Result<u64, Error> {
        let mut total = 0;
        for part in filter.parts() {
            total += part.select().0.count(self.reader()).await?;
        }
        Ok(total)
    }

    /// How many sagas there are. It reads an index of all of them: for people, not for loops.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn counts(&self) -> Result<Counts, Error> {
        let groups: Vec<(String, i64)> = Entity::find()
            .select_only()
            .column(Column::Status)
            .column_as(Column::Id.count(), "count")
            .group_by(Column::Status)
            .into_tuple()
            .all(self.reader())
            .await?;
        let mut by_status = BTreeMap::new();
        for (status, count) in groups {
            match status.parse::<Status>() {
                Ok(status) => drop(by_status.insert(status, u64::try_from(count).unwrap_or_default())),
                Err(error) => tracing::error!(%error, count, "sagas with a status of another version"),
            }
        }
        let attention = SagaFilter { flags: vec![Flag::NeedsAttention], ..SagaFilter::default() };
        let needs_attention = self.count(&attention).await?;
        Ok(Counts { by_status, needs_attention })
    }
}

/// A filter, narrowed down to what one index serves.
struct Part {
    filter: SagaFilter,
    /// Only sagas that have ended.
    ended: bool,
}

impl SagaFilter {
    /// One part per status, so that each finds its page in the index of that status; together they would
    /// have to sort all sagas of all of them. In the order in which a saga passes through the statuses: one
    /// that moves on meanwhile is found twice, not never.
    fn parts(&self) -> Vec<Part> {
        let mut statuses = self.statuses.clone();
        if self.is_of_definition_alone() {
            statuses.extend(Status::ALL.into_iter().filter(|status| !status.is_terminal()));
        }
        statuses.sort_unstable();
        statuses.dedup();
        let part = |statuses, ended| Part { filter: Self { statuses, ..self.clone() }, ended };
        let mut parts: Vec<Part> = statuses.into_iter().map(|status| part(vec![status], false)).collect();
        if parts.is_empty() || self.is_of_definition_alone() {
            parts.push(part(Vec::new(), self.is_of_definition_alone()));
        }
        parts
    }

    /// Whether the definition is what finds the sagas: those that have ended by its index, the few others by
    /// their status.
    fn is_of_definition_alone(&self) -> bool {
        self.definition.is_some()
            && self.statuses.is_empty()
            && self.flags.is_empty()
            && self.labels.is_empty()
            && self.failure_code.is_none()
            && self.failure_step.is_none()
            && self.open_of.is_none()
    }
}

impl Part {
    /// The sagas, and the expression of their id to page by.
    fn select(&self) -> (Select<Entity>, SimpleExpr) {
        let mut labels = self.filter.labels.iter();
        let mut query = Entity::find();
        let mut id = Column::Id.into_expr();
        if let Some((name, value)) = labels.next() {
            // Its index is in the order of ids within a value: a page of a common value costs a page.
            let joined = (saga_label::Entity, saga_label::Column::SagaId);
            QuerySelect::query(&mut query)
                .inner_join(joined.0, Expr::col(joined).equals((Entity, Column::Id)));
            query = query.filter(label_is(name, value));
            id = Expr::col(joined);
        }
        for (name, value) in labels {
            let labelled = Query::select()
                .column(saga_label::Column::SagaId)
                .from(saga_label::Entity)
                .cond_where(label_is(name, value))
                .take();
            query = query.filter(Column::Id.in_subquery(labelled));
        }
        if self.ended {
            query = query.filter(ended());
        }
        (self.filter.narrow(query, &id), id)
    }
}

impl SagaFilter {
    fn narrow(&self, mut query: Select<Entity>, id: &SimpleExpr) -> Select<Entity> {
        if !self.statuses.is_empty() {
            query = query.filter(Column::Status.is_in(self.statuses.iter().map(|status| status.as_str())));
        }
        for flag in &self.flags {
            // Without a value to compare with: so the partial index fits.
            query = query.filter(flag.column().into_expr());
        }
        if let Some(name) = &self.definition {
            query = query.filter(Column::DefinitionName.eq(name.as_str()));
        }
        if let Some(version) = self.version {
            query = query.filter(Column::DefinitionVersion.eq(i64::from(version)));
        }
        if let Some(code) = &self.failure_code {
            query = query.filter(Column::FailureCode.eq(indexed(code)));
        }
        if let Some(step) = &self.failure_step {
            query = query.filter(Column::FailureStep.eq(step.as_str()));
        }
        if let Some(from) = self.made_from {
            query = query.filter(id.clone().gte(first_id(from)));
        }
        if let Some(before) = self.made_before {
            query = query.filter(id.clone().lt(first_id(before)));
        }
        if let Some(definitions) = &self.open_of {
            let open = Status::ALL.into_iter().filter(|status| !status.is_terminal());
            query = query.filter(Column::Status.is_in(open.map(Status::as_str)));
            let any = definitions
                .iter()
                .fold(Condition::any(), |any, (definition, digest)| any.add(is(definition, *digest)));
            // No definition at all lets nothing through.
            query = query.filter(any.add(Expr::val(false)));
        }
        query
    }
}

/// That a saga has ended, as the index of those that have says it: with values that are not bound, for to a bound
/// one neither database fits a partial index; in the words of the index, for SQLite compares those.
pub(crate) fn ended() -> SimpleExpr {
    let is = |status: Status| Column::Status.into_expr().eq(SimpleExpr::Constant(status.as_str().into()));
    let terminal = Status::ALL.into_iter().filter(|status| status.is_terminal());
    terminal.map(is).reduce(SimpleExpr::or).unwrap_or_else(|| unreachable!("sagas end"))
}

fn is(definition: &DefinitionRef, digest: Digest) -> Condition {
    Condition::all()
        .add(Column::DefinitionName.eq(definition.name.as_str()))
        .add(Column::DefinitionVersion.eq(i64::from(definition.version)))
        .add(Column::Digest.eq(digest.to_string()))
}

fn label_is(name: &str, value: &str) -> Condition {
    use saga_label::Column;
    Condition::all().add(Column::Name.eq(name)).add(Column::Value.eq(indexed(value)))
}

/// The lowest id that can be made at this moment (RFC 9562, 5.7: 48 bits of milliseconds come first).
pub(crate) fn first_id(at: Timestamp) -> Uuid {
    const MS_MAX: u64 = (1 << 48) - 1;
    let ms = Ord::min(u64::try_from(at.unix_ms()).unwrap_or_default(), MS_MAX);
    Uuid::from_u128(u128::from(ms) << 80)
}

/// A row of the table.
struct Listed {
    id: SagaId,
    /// Or why its columns cannot be read.
    model: Result<saga::Model, String>,
}

impl Listed {
    fn of(row: &QueryResult) -> Option<Self> {
        let id = row.try_get::<Uuid>("", "id").ok().and_then(|id| SagaId::new(id).ok());
        let Some(id) = id else {
            tracing::error!("a saga's row has no id that can be read; it is left out");
            return None;
        };
        Some(Self { id, model: saga::Model::from_query_result(row, "").map_err(|error| error.to_string()) })
    }
}

impl SagaRow {
    fn new(id: SagaId, model: saga::Model, saga: Result<Saga, Unreadable>) -> Self {
        let definition = match (Token::new(&model.definition_name), u32::try_from(model.definition_version)) {
            (Ok(name), Ok(version)) => DefinitionRef { name, version }.to_string(),
            _ => model.definition_name.clone(),
        };
        let strays = saga.as_ref().map(|saga| strays::of(&model, saga)).unwrap_or_default();
        Self {
            id,
            definition,
            version: u64::try_from(model.version).unwrap_or_default(),
            status: model.status,
            started_at: Timestamp::from_unix_ms(model.started_at_ms),
            updated_at: Timestamp::from_unix_ms(model.updated_at_ms),
            due_at: model.due_at_ms.map(Timestamp::from_unix_ms),
            saga,
            strays,
        }
    }

    /// A row of which not even the columns can be read.
    fn broken(id: SagaId, why: String) -> Self {
        Self {
            id,
            definition: String::new(),
            version: 0,
            status: String::new(),
            started_at: id.made_at(),
            updated_at: id.made_at(),
            due_at: None,
            saga: Err(Unreadable { id, why }),
            strays: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::Statement;

    use super::*;
    use crate::{Access, Config};

    /// How SQLite finds a filter's sagas, part by part.
    async fn plan(store: &Store, filter: &SagaFilter) -> Vec<String> {
        let mut lines = Vec::new();
        for part in filter.parts() {
            let (query, id) = part.select();
            let query = query.order_by(id, Order::Desc).limit(10);
            let Statement { sql, values, .. } = query.build(store.reader().get_database_backend());
            let values = values.map(|values| values.0).unwrap_or_default();
            let explain = store.dialect().statement(format!("EXPLAIN QUERY PLAN {sql}"), values);
            let steps = store.reader().query_all_raw(explain).await.unwrap();
            let steps = steps.iter().map(|step| step.try_get::<String>("", "detail").unwrap());
            lines.push(steps.collect::<Vec<_>>().join("; "));
        }
        lines
    }

    #[tokio::test]
    async fn sagas_of_a_definition_are_found_in_the_order_of_their_ids_without_a_look_at_others() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("a.db").display());
        let store = Store::connect(&Config { url, ..Config::default() }, Access::Exclusive).await.unwrap();
        store.migrate().await.unwrap();
        let of_order = SagaFilter { definition: Token::new("order").ok(), ..SagaFilter::default() };
        let by_status = "SEARCH sagas USING INDEX sagas_by_status (status=?)";
        let ended = "SEARCH sagas USING INDEX sagas_ended (definition_name=?)";
        assert_eq!(plan(&store, &of_order).await, [by_status, by_status, by_status, ended]);
        let one_day = SagaFilter { made_from: Some(Timestamp::from_unix_ms(1)), ..of_order };
        let plan = plan(&store, &one_day).await;
        assert_eq!(plan[3], "SEARCH sagas USING INDEX sagas_ended (definition_name=? AND id>?)", "{plan:?}");
    }
}
