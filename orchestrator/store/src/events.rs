//! The outbox of events: written by `commit`, published by a loop, kept for a day.
//!
//! Invariant: an event that is not marked as published is offered again, in whatever order transactions
//! were committed; readers know a repetition by the event's id.

use amends_contract::Timestamp;
use sea_orm::sea_query::{Expr, Query, SimpleExpr};
use sea_orm::{
    ColumnTrait as _, EntityName as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::entity::outbox::{Column, Entity, Model};
use crate::error::Blame;
use crate::{Error, Store};

/// An event that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// Its place in the outbox.
    pub seq: i64,
    /// The envelope's `id`.
    pub event_id: String,
    /// The envelope's `type`: the subject without its prefix.
    pub message_type: String,
    /// The message, byte for byte.
    pub envelope: String,
    /// When it happened.
    pub created_at: Timestamp,
}

impl Store {
    /// Up to `limit` events that are not published and happened at `before` or earlier, in the order of their places.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the database does not answer.
    pub async fn unpublished_events(&self, before: Timestamp, limit: u32) -> Result<Vec<OutboxRow>, Error> {
        let rows = Entity::find()
            .filter(Column::PublishedAtMs.is_null())
            .filter(Column::CreatedAtMs.lte(before.unix_ms()))
            .order_by_asc(Column::Seq)
            .limit(u64::from(limit))
            .all(self.reader())
            .await?;
        Ok(rows.into_iter().map(OutboxRow::from).collect())
    }

    /// Marks events as published now. A crash of the database may undo that.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; they are then offered again.
    pub async fn mark_events_published(&self, seqs: &[i64]) -> Result<(), Error> {
        if let Some(writer) = self.sqlite_writer().filter(|_| !seqs.is_empty()) {
            return writer.mark(seqs.to_vec(), self.clock().await?).await;
        }
        let now = format!("(SELECT {})", self.dialect().now_ms());
        for chunk in seqs.chunks(self.config().rows_max.max(1)) {
            // Filled up with the first one, so that few different statements exist.
            let padded = chunk.len().next_power_of_two();
            let seqs = chunk.iter().chain(std::iter::repeat(&chunk[0])).take(padded).copied();
            let mark = Entity::update_many()
                .col_expr(Column::PublishedAtMs, Expr::cust(now.clone()))
                .filter(Column::Seq.is_in(seqs));
            match mark.clone().exec(self.hasty_writer()).await {
                // The connection may have died with its server long ago; to mark once more does no harm.
                Err(error) if Blame::of(&error) == Blame::Connection => {
                    mark.exec(self.hasty_writer()).await?
                }
                done => done?,
            };
        }
        Ok(())
    }

    /// Offers all events again that were published at `since` or later, for a broker that has lost them.
    /// Returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; some are then offered again, and asking once more offers the rest.
    pub async fn republish_events(&self, since: Timestamp) -> Result<u64, Error> {
        // What is published while we are at it has not been lost.
        let until = self.now().await?.unix_ms();
        let published = Column::PublishedAtMs.between(since.unix_ms(), until);
        self.in_chunks(Chore::Offer, published).await
    }

    /// Deletes events that were published more than `keep_ms` milliseconds ago. Returns how many.
    ///
    /// # Errors
    /// [`Error::Unavailable`]; some may be deleted then.
    pub async fn prune_events(&self, keep_ms: u64) -> Result<u64, Error> {
        let old = Column::PublishedAtMs.lt(self.now().await?.minus_ms(keep_ms).unix_ms());
        self.in_chunks(Chore::Delete, old).await
    }

    /// Does the chore to a bounded number of rows at a time until it finds no more, so that commits get in
    /// between.
    async fn in_chunks(&self, chore: Chore, rows: SimpleExpr) -> Result<u64, Error> {
        let rows_max = u64::from(Ord::max(self.config().housekeeping_rows_max, 1));
        let mut total = 0;
        loop {
            let chunk = Query::select()
                .column(Column::Seq)
                .from(Entity)
                .and_where(rows.clone())
                .limit(rows_max)
                .take();
            let chunk = Column::Seq.in_subquery(chunk);
            let count = match chore {
                Chore::Offer => {
                    let never = Expr::value(Option::<i64>::None);
                    let update = Entity::update_many().col_expr(Column::PublishedAtMs, never);
                    update.filter(chunk).exec(self.writer()).await?.rows_affected
                }
                Chore::Delete => Entity::delete_many().filter(chunk).exec(self.writer()).await?.rows_affected,
            };
            total += count;
            if count < rows_max {
                return Ok(total);
            }
        }
    }
}

/// Marks events as published, in a transaction of SQLite.
pub(crate) fn mark(db: &rusqlite::Transaction<'_>, seqs: &[i64], at: Timestamp) -> rusqlite::Result<()> {
    let table = Entity.table_name();
    let sql = format!("UPDATE {table} SET published_at_ms = ?1 WHERE seq = ?2");
    let mut statement = db.prepare_cached(&sql)?;
    for seq in seqs {
        statement.execute((at.unix_ms(), seq))?;
    }
    Ok(())
}

/// What is done to many rows, a few at a time.
#[derive(Clone, Copy)]
enum Chore {
    /// Offers them to the publisher again.
    Offer,
    Delete,
}

impl From<Model> for OutboxRow {
    fn from(row: Model) -> Self {
        Self {
            seq: row.seq,
            event_id: row.event_id,
            message_type: row.message_type,
            envelope: row.envelope,
            created_at: Timestamp::from_unix_ms(row.created_at_ms),
        }
    }
}
