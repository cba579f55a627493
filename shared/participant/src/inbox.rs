//! Reading and writing inbox rows, many in one statement.
//!
//! Invariant: rows are written in effect-id order, conditionally, and the count is looked at: whoever
//! finds another number than expected was too late ([`Written::Raced`]) and must look again.

use std::collections::BTreeMap;

use amends_contract::{Cause, Command, DecodeError, EffectId, Envelope, SagaId, Timestamp};
use amends_inbox::Known;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType, Query, Value},
};
use serde::{Deserialize, Serialize};

use crate::{
    entity::inbox::{Column, Entity, Model, State},
    rows,
};

/// A command as an open row keeps it, to answer it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asked {
    envelope: Envelope,
    pub(crate) cause: Option<Cause>,
}

impl Asked {
    pub(crate) fn new(command: &Command, cause: Option<Cause>) -> Self {
        Self { envelope: command.to_envelope(), cause }
    }

    pub(crate) fn command(&self) -> Result<Command, DecodeError> {
        Command::from_envelope(self.envelope.clone())
    }
}

/// Whether a conditional write found what it expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    All,
    /// Another process was faster.
    Raced,
}

impl Written {
    const fn of(count: u64, expected: usize) -> Self {
        if count == expected as u64 { Self::All } else { Self::Raced }
    }
}

/// A row about `effect`, empty but for its state.
pub(crate) fn row(effect: &EffectId, state: State, now: Timestamp) -> Model {
    Model {
        effect_id: effect.to_string(),
        state,
        message_type: None,
        meaning: None,
        outcome: None,
        reply: None,
        command: None,
        intent: None,
        calls: 0,
        due_at_ms: None,
        created_at_ms: now.unix_ms(),
        updated_at_ms: now.unix_ms(),
    }
}

impl Model {
    /// What the rules want to know of it.
    pub(crate) fn known(&self) -> Known {
        Known {
            state: self.state.into(),
            meaning: self.meaning.as_deref().and_then(|meaning| meaning.parse().ok()),
            succeeded: self.outcome.as_deref() == Some(crate::reply::SUCCEEDED),
            waiting: self.is_waiting(),
        }
    }

    /// Whether it is an undo that waits for the outcome of its action.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Open) && self.intent.is_none()
    }

    /// Whether its outcome is not known yet.
    pub(crate) const fn is_unsettled(&self) -> bool {
        matches!(self.state, State::Open | State::Voiding)
    }
}

/// The rows of these effects, locked where `lock` says so (in effect-id order).
pub(crate) async fn find(
    db: &impl ConnectionTrait,
    effects: &[String],
    lock: bool,
) -> Result<BTreeMap<String, Model>, DbErr> {
    let mut found = BTreeMap::new();
    for chunk in effects.chunks(rows::COUNT_MAX) {
        let mut select =
            Entity::find().filter(Column::EffectId.is_in(rows::padded(chunk))).order_by_asc(Column::EffectId);
        if lock {
            select = select.lock_exclusive();
        }
        found.extend(select.all(db).await?.into_iter().map(|row| (row.effect_id.clone(), row)));
    }
    Ok(found)
}

/// Columns that every row has, and those that only an unsettled one needs.
const COLUMNS: [&str; 9] = [
    "effect_id",
    "state",
    "message_type",
    "meaning",
    "outcome",
    "reply",
    "calls",
    "created_at_ms",
    "updated_at_ms",
];
const OF_UNSETTLED: [&str; 3] = ["command", "intent", "due_at_ms"];

/// Inserts new rows, in effect-id order.
pub(crate) async fn insert(db: &impl ConnectionTrait, mut new: Vec<Model>) -> Result<Written, DbErr> {
    new.sort_by(|a, b| a.effect_id.cmp(&b.effect_id));
    let count = new.len();
    // Most batches have none, and a NULL costs as much as a value.
    let settled =
        new.iter().all(|row| row.command.is_none() && row.intent.is_none() && row.due_at_ms.is_none());
    let columns: Vec<&str> =
        COLUMNS.into_iter().chain(OF_UNSETTLED.into_iter().filter(|_| !settled)).collect();
    let values = new.into_iter().map(|row| {
        let mut values = Vec::with_capacity(columns.len());
        values.extend([
            row.effect_id.into(),
            row.state.into(),
            row.message_type.into(),
            row.meaning.into(),
            row.outcome.into(),
            row.reply.into(),
            row.calls.into(),
            row.created_at_ms.into(),
            row.updated_at_ms.into(),
        ]);
        if !settled {
            values.extend([row.command.into(), row.intent.into(), row.due_at_ms.into()]);
        }
        values
    });
    let inserted = rows::insert(db, "inbox", &columns, values.collect()).await?;
    Ok(Written::of(inserted, count))
}

/// Marks open actions: they are to be undone if they turn out to have happened.
pub(crate) async fn void(
    db: &impl ConnectionTrait,
    actions: &[String],
    now: Timestamp,
) -> Result<Written, DbErr> {
    if actions.is_empty() {
        return Ok(Written::All);
    }
    let update = Entity::update_many()
        .col_expr(Column::State, Expr::value(State::Voiding))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .filter(Column::EffectId.is_in(rows::padded(actions)))
        .filter(Column::State.is_in([State::Open, State::Voiding]));
    Ok(Written::of(update.exec(db).await?.rows_affected, actions.len()))
}

/// Gives unsettled rows the state, outcome and reply of `settled`; what was kept to find the outcome is
/// dropped, but for the intent, which the undo may want to read.
pub(crate) async fn settle(db: &impl ConnectionTrait, mut settled: Vec<Model>) -> Result<Written, DbErr> {
    settled.sort_by(|a, b| a.effect_id.cmp(&b.effect_id));
    let count = settled.len();
    let values = settled.into_iter().map(|row| {
        vec![
            row.effect_id.into(),
            row.state.into(),
            row.outcome.into(),
            row.reply.into(),
            row.updated_at_ms.into(),
        ]
    });
    let updated = rows::update(
        db,
        "UPDATE inbox SET state = v.column2, outcome = v.column3, reply = v.column4, \
         updated_at_ms = v.column5, command = NULL, due_at_ms = NULL",
        values.collect(),
        "WHERE inbox.effect_id = v.column1 AND inbox.state IN ('open', 'voiding')",
    );
    Ok(Written::of(updated.await?, count))
}

/// Makes waiting undos open calls, with the intent of `prepared`.
pub(crate) async fn prepare(db: &impl ConnectionTrait, mut prepared: Vec<Model>) -> Result<Written, DbErr> {
    prepared.sort_by(|a, b| a.effect_id.cmp(&b.effect_id));
    let count = prepared.len();
    let values = prepared.into_iter().map(|row| {
        vec![
            row.effect_id.into(),
            row.intent.into(),
            row.calls.into(),
            row.due_at_ms.into(),
            row.updated_at_ms.into(),
        ]
    });
    let updated = rows::update(
        db,
        "UPDATE inbox SET intent = v.column2, calls = v.column3, due_at_ms = v.column4, \
         updated_at_ms = v.column5",
        values.collect(),
        "WHERE inbox.effect_id = v.column1 AND inbox.state = 'open' AND inbox.intent IS NULL",
    );
    Ok(Written::of(updated.await?, count))
}

/// Records the first `cancelled` that a tombstone gave. Whoever comes second keeps the first one's.
pub(crate) async fn record_cancelled(
    db: &impl ConnectionTrait,
    answered: Vec<Model>,
) -> Result<Written, DbErr> {
    let count = answered.len();
    let values = answered.into_iter().map(|row| vec![row.effect_id.into(), row.reply.into()]);
    let updated = rows::update(
        db,
        "UPDATE inbox SET reply = v.column2",
        values.collect(),
        "WHERE inbox.effect_id = v.column1 AND inbox.reply IS NULL",
    );
    Ok(Written::of(updated.await?, count))
}

/// Moves the moment on from which unsettled rows are to be looked into.
pub(crate) async fn postpone(db: &impl ConnectionTrait, due: Vec<(String, Timestamp)>) -> Result<(), DbErr> {
    let values: Vec<Vec<Value>> =
        due.into_iter().map(|(effect, due)| vec![effect.into(), due.unix_ms().into()]).collect();
    rows::update(
        db,
        "UPDATE inbox SET due_at_ms = v.column2",
        values,
        "WHERE inbox.effect_id = v.column1 AND inbox.state IN ('open', 'voiding')",
    )
    .await?;
    Ok(())
}

/// Forgets an intent whose only call definitely did nothing.
pub(crate) async fn forget(db: &impl ConnectionTrait, effects: &[String]) -> Result<(), DbErr> {
    if !effects.is_empty() {
        Entity::delete_many().filter(Column::EffectId.is_in(rows::padded(effects))).exec(db).await?;
    }
    Ok(())
}

/// Takes calls back that were not begun: they count for nothing, and are due at once.
pub(crate) async fn give_back(
    db: &impl ConnectionTrait,
    effects: &[String],
    now: Timestamp,
) -> Result<(), DbErr> {
    if !effects.is_empty() {
        Entity::update_many()
            .col_expr(Column::Calls, Expr::col(Column::Calls).sub(1))
            .col_expr(Column::DueAtMs, Expr::value(now.unix_ms()))
            .filter(Column::EffectId.is_in(rows::padded(effects)))
            .filter(Column::State.is_in([State::Open, State::Voiding]))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Two kinds of open rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An undo that waits for the outcome of its action.
    Waiting,
    /// A call.
    Call,
}

/// Takes up to `limit` due rows of a kind for `lease_ms`, each counted as one more call.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    kind: Kind,
    now: Timestamp,
    lease_ms: u64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let due = Query::select()
        .column(Column::EffectId)
        .from(Entity)
        .and_where(Column::DueAtMs.lte(now.unix_ms()))
        .and_where(match kind {
            Kind::Waiting => Column::Intent.is_null(),
            Kind::Call => Column::Intent.is_not_null(),
        })
        .order_by(Column::DueAtMs, sea_orm::Order::Asc)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    Entity::update_many()
        .col_expr(Column::DueAtMs, Expr::value(now.plus_ms(lease_ms).unix_ms()))
        .col_expr(Column::Calls, Expr::col(Column::Calls).add(1))
        .filter(Column::EffectId.in_subquery(due))
        .exec_with_returning(db)
        .await
}

/// Makes every unsettled row due now: for a process that knows it is the only one.
pub(crate) async fn wake_all(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::DueAtMs, Expr::value(now.unix_ms()))
        .filter(Column::DueAtMs.gt(now.unix_ms()));
    Ok(update.exec(db).await?.rows_affected)
}

/// Makes the undos due now that wait for `action`. They lie side by side: all but the direction and the
/// epoch of their ids is the action's.
pub(crate) async fn wake_undos(
    db: &impl ConnectionTrait,
    action: &EffectId,
    now: Timestamp,
) -> Result<(), DbErr> {
    let (first, beyond) = crate::effects::undos_of(action);
    Entity::update_many()
        .col_expr(Column::DueAtMs, Expr::value(now.unix_ms()))
        .filter(Column::EffectId.gte(first))
        .filter(Column::EffectId.lt(beyond))
        .filter(Column::State.eq(State::Open))
        .filter(Column::Intent.is_null())
        .exec(db)
        .await?;
    Ok(())
}

/// Deletes up to `limit` settled rows of sagas made before `oldest`.
pub(crate) async fn purge(db: &impl ConnectionTrait, oldest: Timestamp, limit: u64) -> Result<u64, DbErr> {
    let old = Query::select()
        .column(Column::EffectId)
        .from(Entity)
        .and_where(Column::EffectId.lt(crate::effects::first_of_sagas_at(oldest)))
        .and_where(Column::State.is_in([State::Final, State::Tombstone]))
        .order_by(Column::EffectId, sea_orm::Order::Asc)
        .limit(limit)
        .take();
    let delete = Entity::delete_many().filter(Column::EffectId.in_subquery(old));
    Ok(delete.exec(db).await?.rows_affected)
}

/// When the row's saga was made: the time inside its id.
pub(crate) fn is_expired(saga: SagaId, now: Timestamp, horizon_s: u64) -> bool {
    now.ms_since(saga.made_at()) > horizon_s.saturating_mul(1_000)
}
