//! Reads and writes the mails table. The only place with its statements.

use std::collections::BTreeSet;

use amends_contract::{EffectId, SagaId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::domain::{Notice, Occasion, clean};
use crate::entity::mail::{ActiveModel, Column, Entity, Model, Status};

/// A mail to be noted.
pub(crate) struct NewMail<'a> {
    pub(crate) effect: &'a EffectId,
    pub(crate) occasion: Occasion,
    pub(crate) notice: &'a Notice,
    pub(crate) message_id: &'a str,
    pub(crate) status: Status,
    pub(crate) reason: Option<&'a str>,
}

/// Notes a mail; again, after one that was certainly not sent.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    mail: NewMail<'_>,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        effect: Set(mail.effect.to_string()),
        saga: Set(mail.effect.saga.uuid()),
        occasion: Set(mail.occasion),
        order_id: Set(mail.notice.order.clone()),
        recipient: Set(clean(&mail.notice.to)),
        message_id: Set(mail.message_id.to_owned()),
        status: Set(mail.status),
        reason: Set(mail.reason.map(str::to_owned)),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    let again = OnConflict::column(Column::Effect)
        .update_columns([Column::Status, Column::Reason, Column::UpdatedAtMs])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// Writes what became of a mail.
pub(crate) async fn settle(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    status: Status,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .filter(Column::Effect.eq(effect.to_string()))
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::Reason, Expr::value(reason))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .exec(db)
        .await?;
    Ok(())
}

/// Moves those of the mails that are in status `from` on to `to`; answers which they were.
pub(crate) async fn advance(
    db: &impl ConnectionTrait,
    effects: impl IntoIterator<Item = &str>,
    from: Status,
    to: Status,
    now: Timestamp,
) -> Result<BTreeSet<String>, DbErr> {
    let moved = Entity::update_many()
        .filter(Column::Effect.is_in(effects))
        .filter(Column::Status.eq(from))
        .col_expr(Column::Status, Expr::value(to))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .exec_with_returning(db)
        .await?;
    Ok(moved.into_iter().map(|row| row.effect).collect())
}

/// How far a mail is; `None` when there is no such mail.
pub(crate) async fn status(db: &impl ConnectionTrait, effect: &EffectId) -> Result<Option<Status>, DbErr> {
    Ok(Entity::find_by_id(effect.to_string()).one(db).await?.map(|row| row.status))
}

/// Which mails to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) status: Option<Status>,
    pub(crate) saga: Option<SagaId>,
    /// Only those older than this effect: where the page before ended.
    pub(crate) before: Option<String>,
}

/// Up to `limit` mails, newest first.
pub(crate) async fn list(db: &impl ConnectionTrait, filter: Filter, limit: u64) -> Result<Vec<Model>, DbErr> {
    let mut select = Entity::find().order_by_desc(Column::Effect).limit(limit);
    if let Some(status) = filter.status {
        select = select.filter(Column::Status.eq(status));
    }
    if let Some(saga) = filter.saga {
        select = select.filter(Column::Saga.eq(saga.uuid()));
    }
    if let Some(before) = filter.before {
        select = select.filter(Column::Effect.lt(before));
    }
    select.all(db).await
}
