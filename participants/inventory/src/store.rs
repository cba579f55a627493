//! Reads and writes stock and reservations. The only place with their statements.
//!
//! Invariant: rows of stock are touched in the order of their SKUs, or two processes would lock each
//! other out.

use std::collections::BTreeMap;

use amends_contract::{EffectId, Timestamp};
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, TryInsertResult,
};

use crate::domain::{Level, Lines, Movement};
use crate::entity::reservation::Status;
use crate::entity::{reservation, restock, stock};

/// What is there of these SKUs; unknown ones are left out.
pub(crate) async fn levels(
    db: &impl ConnectionTrait,
    skus: impl IntoIterator<Item = &String>,
) -> Result<BTreeMap<String, Level>, DbErr> {
    let rows = stock::Entity::find().filter(stock::Column::Sku.is_in(skus)).all(db).await?;
    Ok(rows.into_iter().map(|row| (row.sku.clone(), level(&row))).collect())
}

/// Locks these SKUs in their order.
pub(crate) async fn lock(
    db: &DatabaseTransaction,
    skus: impl IntoIterator<Item = String>,
) -> Result<(), DbErr> {
    stock::Entity::find()
        .select_only()
        .column(stock::Column::Sku)
        .filter(stock::Column::Sku.is_in(skus))
        .order_by_asc(stock::Column::Sku)
        .lock_exclusive()
        .into_tuple::<String>()
        .all(db)
        .await?;
    Ok(())
}

/// Moves the units of all lines; the SKU of which there are not enough, if any. The caller then rolls
/// back.
pub(crate) async fn move_units(
    db: &impl ConnectionTrait,
    movement: Movement,
    lines: &Lines,
    now: Timestamp,
) -> Result<Option<String>, DbErr> {
    use stock::Column::{Deducted, OnHand, Reserved, Sku, UpdatedAtMs};
    for (sku, quantity) in lines {
        let update = stock::Entity::update_many()
            .filter(Sku.eq(sku))
            .col_expr(UpdatedAtMs, Expr::value(now.unix_ms()));
        let update = match movement {
            Movement::Reserve => update
                .col_expr(Reserved, Expr::col(Reserved).add(*quantity))
                .filter(Expr::col(OnHand).sub(Expr::col(Reserved)).gte(*quantity)),
            Movement::Release => {
                update.col_expr(Reserved, Expr::col(Reserved).sub(*quantity)).filter(Reserved.gte(*quantity))
            }
            Movement::Deduct => update
                .col_expr(OnHand, Expr::col(OnHand).sub(*quantity))
                .col_expr(Reserved, Expr::col(Reserved).sub(*quantity))
                .col_expr(Deducted, Expr::col(Deducted).add(*quantity))
                .filter(Reserved.gte(*quantity)),
        };
        if update.exec(db).await?.rows_affected == 0 {
            return Ok(Some(sku.clone()));
        }
    }
    Ok(None)
}

/// Notes a reservation.
pub(crate) async fn insert_reservation(
    db: &impl ConnectionTrait,
    effect: &EffectId,
    lines: &Lines,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row = reservation::ActiveModel {
        id: Set(effect.to_string()),
        saga: Set(effect.saga.uuid()),
        status: Set(Status::Active),
        lines: Set(serde_json::to_string(lines).unwrap_or_else(|_| unreachable!("a map of texts to numbers"))),
        created_at_ms: Set(now.unix_ms()),
        updated_at_ms: Set(now.unix_ms()),
    };
    reservation::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

/// A reservation with its lines.
pub(crate) async fn reservation(
    db: &impl ConnectionTrait,
    id: &str,
) -> Result<Option<(Status, Lines)>, DbErr> {
    let Some(row) = reservation::Entity::find_by_id(id).one(db).await? else { return Ok(None) };
    let lines = serde_json::from_str(&row.lines).map_err(|error| DbErr::Json(error.to_string()))?;
    Ok(Some((row.status, lines)))
}

/// Ends an active reservation.
pub(crate) async fn end_reservation(
    db: &impl ConnectionTrait,
    id: &str,
    status: Status,
    now: Timestamp,
) -> Result<(), DbErr> {
    use reservation::Column;
    reservation::Entity::update_many()
        .filter(Column::Id.eq(id))
        .col_expr(Column::Status, Expr::value(status))
        .col_expr(Column::UpdatedAtMs, Expr::value(now.unix_ms()))
        .exec(db)
        .await?;
    Ok(())
}

/// The lines of reservations, to lock their stock.
pub(crate) async fn reserved_lines(
    db: &impl ConnectionTrait,
    ids: impl IntoIterator<Item = String>,
) -> Result<Vec<Lines>, DbErr> {
    let rows = reservation::Entity::find().filter(reservation::Column::Id.is_in(ids)).all(db).await?;
    rows.iter()
        .map(|row| serde_json::from_str(&row.lines).map_err(|error| DbErr::Json(error.to_string())))
        .collect()
}

/// What became of a restocking.
pub(crate) enum Restocked {
    /// The units were added.
    Added,
    /// The key was used before, for the same.
    Repeated,
    /// The key was used before, for something else.
    OtherUse,
}

/// Adds units, once per key.
pub(crate) async fn restock(
    db: &impl ConnectionTrait,
    sku: &str,
    quantity: i64,
    key: Option<&str>,
    now: Timestamp,
) -> Result<Restocked, DbErr> {
    if let Some(key) = key
        && !take_key(db, key, sku, quantity, now).await?
    {
        let earlier = restock::Entity::find_by_id(key).one(db).await?;
        let same = earlier.is_some_and(|earlier| earlier.sku == sku && earlier.quantity == quantity);
        return Ok(if same { Restocked::Repeated } else { Restocked::OtherUse });
    }
    use stock::Column::{OnHand, Received, Sku, UpdatedAtMs};
    let row = stock::ActiveModel {
        sku: Set(sku.to_owned()),
        on_hand: Set(quantity),
        reserved: Set(0),
        deducted: Set(0),
        received: Set(quantity),
        updated_at_ms: Set(now.unix_ms()),
    };
    let more = OnConflict::column(Sku)
        .value(OnHand, Expr::col((stock::Entity, OnHand)).add(quantity))
        .value(Received, Expr::col((stock::Entity, Received)).add(quantity))
        .update_column(UpdatedAtMs)
        .to_owned();
    stock::Entity::insert(row).on_conflict(more).exec_without_returning(db).await?;
    Ok(Restocked::Added)
}

async fn take_key(
    db: &impl ConnectionTrait,
    key: &str,
    sku: &str,
    quantity: i64,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let row = restock::ActiveModel {
        key: Set(key.to_owned()),
        sku: Set(sku.to_owned()),
        quantity: Set(quantity),
        created_at_ms: Set(now.unix_ms()),
    };
    let once = OnConflict::column(restock::Column::Key).do_nothing().to_owned();
    let inserted =
        restock::Entity::insert(row).on_conflict(once).try_insert().exec_without_returning(db).await?;
    Ok(matches!(inserted, TryInsertResult::Inserted(1..)))
}

/// Up to `limit` SKUs after `after`, in their order.
pub(crate) async fn list(
    db: &impl ConnectionTrait,
    after: Option<&str>,
    limit: u64,
) -> Result<Vec<(String, Level)>, DbErr> {
    let mut select = stock::Entity::find().order_by_asc(stock::Column::Sku).limit(limit);
    if let Some(after) = after {
        select = select.filter(stock::Column::Sku.gt(after));
    }
    let rows = select.all(db).await?;
    Ok(rows.into_iter().map(|row| (row.sku.clone(), level(&row))).collect())
}

/// What is there of one SKU.
pub(crate) async fn one(db: &impl ConnectionTrait, sku: &str) -> Result<Option<Level>, DbErr> {
    Ok(stock::Entity::find_by_id(sku).one(db).await?.as_ref().map(level))
}

const fn level(row: &stock::Model) -> Level {
    Level { on_hand: row.on_hand, reserved: row.reserved, deducted: row.deducted, received: row.received }
}
