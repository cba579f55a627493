//! Reads and writes returns. The only place with their statements.

use amends_contract::{EffectId, SagaId, Timestamp};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{json, read_lines};
use crate::domain::Lines;
use crate::entity::goods_return::{ActiveModel, Column, Entity, Model, State};

/// Notes that goods are to come back.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    id: &EffectId,
    order: SagaId,
    lines: &Lines,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = ActiveModel {
        id: Set(id.to_string()),
        order: Set(order.to_string()),
        state: Set(State::Expected),
        lines: Set(json(lines)),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// What of an order is on its way back, or back.
pub(crate) async fn of_order(db: &impl ConnectionTrait, order: SagaId) -> Result<Vec<Lines>, DbErr> {
    let rows = Entity::find()
        .filter(Column::Order.eq(order.to_string()))
        .filter(Column::State.ne(State::Cancelled))
        .all(db)
        .await?;
    rows.iter().map(lines).collect()
}

/// A return with its lines, locked.
pub(crate) async fn one(db: &impl ConnectionTrait, id: &str) -> Result<Option<(State, Lines)>, DbErr> {
    let row = Entity::find_by_id(id).lock_exclusive().one(db).await?;
    row.map(|row| Ok((row.state, lines(&row)?))).transpose()
}

/// The lines of these returns, whose rows are locked in their order.
pub(crate) async fn lock(db: &impl ConnectionTrait, ids: Vec<String>) -> Result<Vec<Lines>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = Entity::find()
        .filter(Column::Id.is_in(ids))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(db)
        .await?;
    rows.iter().map(lines).collect()
}

/// Ends a return whose goods are expected.
pub(crate) async fn end(
    db: &impl ConnectionTrait,
    id: &str,
    state: State,
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Expected))
        .exec(db)
        .await?;
    Ok(())
}

/// Up to `limit` returns, of one order or of all, in the order of their ids, behind `after`.
pub(crate) async fn list(
    db: &impl ConnectionTrait,
    order: Option<SagaId>,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let mut select = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(order) = order {
        select = select.filter(Column::Order.eq(order.to_string()));
    }
    if let Some(after) = after {
        select = select.filter(Column::Id.gt(after));
    }
    select.all(db).await
}

/// The lines of a row.
pub(crate) fn lines(row: &Model) -> Result<Lines, DbErr> {
    read_lines(&row.id, &row.lines)
}
