//! Reads and writes the refunds table. The only place with its statements.

use std::collections::BTreeMap;

use amends_contract::{EffectId, SagaId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::domain::RefundRequest;
use crate::entity::refund::{ActiveModel, Column, Entity, Model, Status};

/// Notes that money is about to be given back; again, after a refund that was not made.
pub(crate) async fn refunding(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    charge: &str,
    wanted: &RefundRequest,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        effect: Set(effect.to_string()),
        charge: Set(charge.to_owned()),
        order: Set(wanted.order.uuid()),
        amount: Set(wanted.amount.amount),
        currency: Set(wanted.amount.currency.code().to_owned()),
        status: Set(Status::Refunding),
        refund_id: NotSet,
        code: Set(None),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    let again = OnConflict::column(Column::Effect)
        .update_columns([Column::Charge, Column::Status, Column::Code, Column::UpdatedAtMs])
        .to_owned();
    Entity::insert(row).on_conflict(again).exec_without_returning(db).await?;
    Ok(())
}

/// Writes that the money was given back.
pub(crate) async fn refunded(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    refund_id: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    let id = Expr::value(refund_id);
    change(db, effect, Status::Refunded, (Column::RefundId, id), now).await
}

/// Writes that it was not, and why.
pub(crate) async fn stopped(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    status: Status,
    code: &str,
    now: Timestamp,
) -> Result<(), DbErr> {
    change(db, effect, status, (Column::Code, Expr::value(code)), now).await
}

async fn change(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    status: Status,
    (column, value): (Column, Expr),
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .filter(Column::Effect.eq(effect.to_string()))
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(column, value)
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .exec(db)
        .await?;
    Ok(())
}

/// What was given back of an order's charges, or is about to be, by charge.
pub(crate) async fn given_back(
    db: &impl ConnectionTrait,
    order: SagaId,
) -> Result<BTreeMap<String, i64>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Order.eq(order.uuid()))
        .filter(Column::Status.is_in([Status::Refunding, Status::Refunded]))
        .all(db)
        .await?;
    let mut sums = BTreeMap::<String, i64>::new();
    for row in rows {
        let sum = sums.entry(row.charge).or_default();
        *sum = sum.saturating_add(row.amount);
    }
    Ok(sums)
}

/// Up to `limit` refunds of an order, oldest first.
pub(crate) async fn of_order(
    db: &impl ConnectionTrait,
    order: SagaId,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::Order.eq(order.uuid()))
        .order_by_asc(Column::Effect)
        .limit(limit)
        .all(db)
        .await
}
