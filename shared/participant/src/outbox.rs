//! The outbox in SQL: events written in the effect's transaction, claimed, marked, kept, offered again.
//!
//! Invariant: an event that is not marked as published is published; readers know a repetition by its id.

use amends_contract::{Event, Timestamp};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbErr, EntityTrait, QueryFilter,
    sea_query::{Expr, LockBehavior, LockType, OnConflict, Query},
};

use crate::{
    database::dialect,
    entity::{
        event_outbox::{Column, Entity, Model},
        event_stream,
    },
    rows,
};

/// Writes events, to be published after the commit. One that is there already stays as it is.
pub(crate) async fn insert(db: &impl ConnectionTrait, events: &[Event], now: Timestamp) -> Result<(), DbErr> {
    let columns = ["event_id", "message_type", "envelope", "due_at_ms", "created_at_ms"];
    let row = |event: &Event| {
        vec![
            event.id.as_str().into(),
            event.message_type().into(),
            event.encode().into(),
            now.unix_ms().into(),
            event.at.unix_ms().into(),
        ]
    };
    rows::insert(db, "event_outbox", &columns, events.iter().map(row).collect()).await?;
    Ok(())
}

/// Writes events in a transaction of the service's own, such as a request's; they are published after its
/// commit. An event's id must derive from its cause, so that writing it twice makes one.
///
/// # Errors
/// When the database refuses.
pub async fn emit(db: &DatabaseTransaction, events: &[Event]) -> Result<(), DbErr> {
    insert(db, events, dialect::now(db).await?).await
}

/// Whether there is anything to publish.
pub(crate) async fn is_due(db: &impl ConnectionTrait, now: Timestamp) -> Result<bool, DbErr> {
    Ok(Entity::find().filter(Column::DueAtMs.lte(now.unix_ms())).one(db).await?.is_some())
}

/// Takes up to `limit` events that are to be published, the oldest first, for `lease_ms`.
pub(crate) async fn claim(
    db: &impl ConnectionTrait,
    now: Timestamp,
    lease_ms: u64,
    limit: u64,
) -> Result<Vec<Model>, DbErr> {
    let due = Query::select()
        .column(Column::EventId)
        .from(Entity)
        .and_where(Column::DueAtMs.lte(now.unix_ms()))
        .order_by(Column::DueAtMs, sea_orm::Order::Asc)
        .order_by(Column::CreatedAtMs, sea_orm::Order::Asc)
        .order_by(Column::EventId, sea_orm::Order::Asc)
        .limit(limit)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    let mut claimed = Entity::update_many()
        .col_expr(Column::DueAtMs, Expr::value(now.plus_ms(lease_ms).unix_ms()))
        .filter(Column::EventId.in_subquery(due))
        .exec_with_returning(db)
        .await?;
    claimed.sort_by(|a, b| (a.created_at_ms, &a.event_id).cmp(&(b.created_at_ms, &b.event_id)));
    Ok(claimed)
}

/// Marks events as published.
pub(crate) async fn mark(db: &impl ConnectionTrait, events: &[String], now: Timestamp) -> Result<(), DbErr> {
    for chunk in events.chunks(rows::COUNT_MAX) {
        Entity::update_many()
            .col_expr(Column::DueAtMs, Expr::value(Option::<i64>::None))
            .col_expr(Column::PublishedAtMs, Expr::value(now.unix_ms()))
            .filter(Column::EventId.is_in(rows::padded(chunk)))
            .exec(db)
            .await?;
    }
    Ok(())
}

/// Offers all kept events again, for a broker that has lost some.
pub(crate) async fn offer_again(db: &impl ConnectionTrait, now: Timestamp) -> Result<u64, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::DueAtMs, Expr::value(now.unix_ms()))
        .col_expr(Column::PublishedAtMs, Expr::value(Option::<i64>::None))
        .filter(Column::PublishedAtMs.is_not_null());
    Ok(update.exec(db).await?.rows_affected)
}

/// Deletes up to `limit` events that were published before `oldest`.
pub(crate) async fn purge(db: &impl ConnectionTrait, oldest: Timestamp, limit: u64) -> Result<u64, DbErr> {
    let old = Query::select()
        .column(Column::EventId)
        .from(Entity)
        .and_where(Column::PublishedAtMs.lt(oldest.unix_ms()))
        .limit(limit)
        .take();
    let delete = Entity::delete_many().filter(Column::EventId.in_subquery(old));
    Ok(delete.exec(db).await?.rows_affected)
}

/// What was last known of a stream: when it was created, and the highest position seen.
pub(crate) async fn stream(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<event_stream::Model>, DbErr> {
    event_stream::Entity::find().filter(event_stream::Column::Name.eq(name)).one(db).await
}

/// Remembers it.
pub(crate) async fn remember(db: &impl ConnectionTrait, stream: event_stream::Model) -> Result<(), DbErr> {
    use event_stream::Column;
    let mut newer = OnConflict::column(Column::Name);
    newer.update_columns([Column::CreatedAtMs, Column::LastSeq]);
    let row = event_stream::ActiveModel {
        name: Set(stream.name),
        created_at_ms: Set(stream.created_at_ms),
        last_seq: Set(stream.last_seq),
    };
    event_stream::Entity::insert(row).on_conflict(newer).exec_without_returning(db).await?;
    Ok(())
}

/// How many events are kept.
#[cfg(test)]
pub(crate) async fn all(db: &impl ConnectionTrait) -> Result<Vec<Model>, DbErr> {
    Entity::find().all(db).await
}
