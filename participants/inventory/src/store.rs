//! Reads and writes stock and reservations. The only place with their statements.
//!
//! Invariant: stock is written conditionally, by differences: what it would make unsound it does not
//! touch, and the count tells.

pub(crate) mod returns;

use amends_contract::{EffectId, SagaId, Timestamp};
use sea_orm::sea_query::{Alias, Expr, ExprTrait, OnConflict, Query, TableRef, ValueTuple};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::IntoIden,
};

use crate::domain::{Changes, Lines, Shelf, Stock};
use crate::entity::{
    reservation::{self, State},
    restock, stock,
};

/// The stock of these SKUs, locked in their order; without those that do not exist.
pub(crate) async fn shelf<'a>(
    db: &impl ConnectionTrait,
    skus: impl IntoIterator<Item = &'a str>,
) -> Result<Shelf, DbErr> {
    let rows = stock::Entity::find()
        .filter(stock::Column::Sku.is_in(skus))
        .order_by_asc(stock::Column::Sku)
        .lock_exclusive()
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.sku.clone(), row.stock())).collect())
}

/// Changes the stock of several SKUs in one statement. Answers whether it could change all of them.
pub(crate) async fn change(
    db: &impl ConnectionTrait,
    changes: &Changes,
    now: Timestamp,
) -> Result<bool, DbErr> {
    use stock::Column;
    let rows = changes.iter().map(|(sku, change)| {
        let numbers = [change.on_hand, change.reserved, change.deducted, change.received];
        ValueTuple::Many([sku.as_str().into()].into_iter().chain(numbers.map(Into::into)).collect())
    });
    let v = Alias::new("v");
    let delta = |number: u32| Expr::col((v.clone(), Alias::new(format!("column{number}"))));
    let after = |column: Column, number: u32| Expr::col((stock::Entity, column)).add(delta(number));
    let update = Query::update()
        .table(stock::Entity)
        .from(TableRef::ValuesList(rows.collect(), v.clone().into_iden()))
        .value(Column::OnHand, after(Column::OnHand, 2))
        .value(Column::Reserved, after(Column::Reserved, 3))
        .value(Column::Deducted, after(Column::Deducted, 4))
        .value(Column::Received, after(Column::Received, 5))
        .value(Column::UpdatedAtMs, now.unix_ms())
        .and_where(Expr::col((stock::Entity, Column::Sku)).eq(delta(1)))
        .and_where(after(Column::Reserved, 3).gte(0))
        .and_where(after(Column::OnHand, 2).gte(after(Column::Reserved, 3)))
        .take();
    Ok(db.execute(&update).await?.rows_affected() == changes.len() as u64)
}

/// Writes an active reservation.
pub(crate) async fn insert(
    db: &impl ConnectionTrait,
    id: &EffectId,
    lines: &Lines,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = reservation::ActiveModel {
        id: Set(id.to_string()),
        saga: Set(id.saga.to_string()),
        state: Set(State::Active),
        lines: Set(json(lines)),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    reservation::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// A reservation with its lines, locked.
pub(crate) async fn reservation(
    db: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<(State, Lines)>, DbErr> {
    let row = reservation::Entity::find_by_id(id).lock_exclusive().one(db).await?;
    row.map(|row| Ok((row.state, lines(&row)?))).transpose()
}

/// All reservations of an order with their lines, locked in their order.
pub(crate) async fn reservations_of(
    db: &impl ConnectionTrait,
    order: SagaId,
) -> Result<Vec<(State, Lines)>, DbErr> {
    let rows = locked_reservations(db, Vec::new(), vec![order]).await?;
    rows.into_iter().map(|row| Ok((row.state, lines(&row)?))).collect()
}

/// The lines of these reservations, and of all of these orders; their rows are locked in their order.
pub(crate) async fn lock_reservations(
    db: &impl ConnectionTrait,
    ids: Vec<String>,
    orders: Vec<SagaId>,
) -> Result<Vec<Lines>, DbErr> {
    if ids.is_empty() && orders.is_empty() {
        return Ok(Vec::new());
    }
    locked_reservations(db, ids, orders).await?.iter().map(lines).collect()
}

async fn locked_reservations(
    db: &impl ConnectionTrait,
    ids: Vec<String>,
    orders: Vec<SagaId>,
) -> Result<Vec<reservation::Model>, DbErr> {
    use reservation::Column;
    let orders = orders.iter().map(ToString::to_string);
    reservation::Entity::find()
        .filter(Column::Id.is_in(ids).or(Column::Saga.is_in(orders)))
        .order_by_asc(Column::Id)
        .lock_exclusive()
        .all(db)
        .await
}

/// Ends an active reservation.
pub(crate) async fn end(
    db: &impl ConnectionTrait,
    id: &str,
    state: State,
    now: Timestamp,
) -> Result<(), DbErr> {
    use reservation::Column;
    reservation::Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .filter(Column::Id.eq(id))
        .filter(Column::State.eq(State::Active))
        .exec(db)
        .await?;
    Ok(())
}

/// Up to `limit` SKUs with their stock, in their order, behind `after`.
pub(crate) async fn list(
    db: &impl ConnectionTrait,
    after: Option<String>,
    limit: u64,
) -> Result<Vec<stock::Model>, DbErr> {
    let mut select = stock::Entity::find().order_by_asc(stock::Column::Sku).limit(limit);
    if let Some(after) = after {
        select = select.filter(stock::Column::Sku.gt(after));
    }
    select.all(db).await
}

/// The stock of one SKU.
pub(crate) async fn item(db: &impl ConnectionTrait, sku: &str) -> Result<Option<stock::Model>, DbErr> {
    stock::Entity::find_by_id(sku).one(db).await
}

/// Writes the stock of one SKU; the row must be locked by this transaction, or not exist.
pub(crate) async fn put(
    db: &DatabaseTransaction,
    sku: &str,
    stock: Stock,
    now: Timestamp,
) -> Result<(), DbErr> {
    use stock::Column;
    let row = stock::ActiveModel {
        sku: Set(sku.to_owned()),
        on_hand: Set(stock.on_hand),
        reserved: Set(stock.reserved),
        deducted: Set(stock.deducted),
        received: Set(stock.received),
        updated_at_ms: Set(now.unix_ms()),
    };
    let mut newer = OnConflict::column(Column::Sku);
    newer.update_columns([Column::OnHand, Column::Reserved, Column::Deducted, Column::Received]);
    newer.update_column(Column::UpdatedAtMs);
    stock::Entity::insert(row).on_conflict(newer).exec_without_returning(db).await?;
    Ok(())
}

/// Makes sure that the SKU has a row, and locks it.
pub(crate) async fn locked(db: &DatabaseTransaction, sku: &str, now: Timestamp) -> Result<Stock, DbErr> {
    use stock::Column;
    let empty = stock::ActiveModel {
        sku: Set(sku.to_owned()),
        on_hand: Set(0),
        reserved: Set(0),
        deducted: Set(0),
        received: Set(0),
        updated_at_ms: Set(now.unix_ms()),
    };
    let there = OnConflict::column(Column::Sku).do_nothing().to_owned();
    stock::Entity::insert(empty).on_conflict(there).exec_without_returning(db).await?;
    let mut shelf = shelf(db, [sku]).await?;
    shelf.remove(sku).ok_or_else(|| DbErr::RecordNotFound(format!("stock of {sku}")))
}

/// Notes a restocking with its answer; `false` if the key is taken.
pub(crate) async fn insert_restock(db: &DatabaseTransaction, row: restock::Model) -> Result<bool, DbErr> {
    let row = restock::ActiveModel {
        key: Set(row.key),
        sku: Set(row.sku),
        quantity: Set(row.quantity),
        answer: Set(row.answer),
        created_at_ms: Set(row.created_at_ms),
    };
    let taken = OnConflict::column(restock::Column::Key).do_nothing().to_owned();
    let inserted = restock::Entity::insert(row).on_conflict(taken);
    Ok(inserted.exec_without_returning(db).await? == 1)
}

/// The restocking under a key.
pub(crate) async fn restocking(
    db: &impl ConnectionTrait,
    key: &str,
) -> Result<Option<restock::Model>, DbErr> {
    restock::Entity::find_by_id(key).one(db).await
}

fn lines(row: &reservation::Model) -> Result<Lines, DbErr> {
    read_lines(&row.id, &row.lines)
}

fn read_lines(id: &str, lines: &str) -> Result<Lines, DbErr> {
    serde_json::from_str(lines).map_err(|error| DbErr::Json(format!("{id}: {error}")))
}

fn json(lines: &Lines) -> String {
    serde_json::to_string(lines).unwrap_or_else(|_| unreachable!("strings and numbers always encode"))
}

/// What all active reservations hold, by SKU.
#[cfg(test)]
pub(crate) async fn held(db: &impl ConnectionTrait) -> std::collections::BTreeMap<String, i64> {
    use std::collections::BTreeMap;
    let active = reservation::Column::State.eq(State::Active);
    let mut held = BTreeMap::new();
    for row in reservation::Entity::find().filter(active).all(db).await.unwrap() {
        let lines: BTreeMap<String, i64> = serde_json::from_str(&row.lines).unwrap();
        lines.into_iter().for_each(|(sku, quantity)| *held.entry(sku).or_default() += quantity);
    }
    held
}
