//! Publishes the events that commits have written, and publishes them again when the broker lost them.
//!
//! What this process has written it need not read back. What others have written, or what was left, a look into the
//! outbox finds.
//!
//! Invariant: an event is marked published only after the broker has stored it; its id makes a repetition
//! harmless.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use amends_broker::{Ack, Broker, Outgoing, StreamPosition};
use amends_contract::{CONTENT_TYPE, Stream, Timestamp};
use amends_store::{OutboxRow, Store};
use metrics::counter;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::config::LoopsConfig;

/// How often published rows beyond their time are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// How long a shutdown waits until what was published last is marked.
const MARK_AT_END: Duration = Duration::from_secs(2);

const MS_PER_HOUR: u64 = 3_600_000;

/// Events remembered until they are published, in batches: more mean that the broker does not take them.
const BATCHES_REMEMBERED: usize = 4;

/// What commits have written and nobody has published yet. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Written {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    fresh: Mutex<Fresh>,
    wake: Notify,
}

#[derive(Default)]
struct Fresh {
    rows: Vec<OutboxRow>,
    /// There may be others in the outbox.
    more: bool,
}

impl Written {
    /// Tells of rows that were committed.
    pub(crate) fn add(&self, rows: Vec<OutboxRow>, count_max: usize) {
        self.with(|fresh| {
            fresh.rows.extend(rows);
            if fresh.rows.len() > count_max {
                fresh.rows.clear();
                fresh.more = true;
            }
        });
        self.inner.wake.notify_one();
    }

    /// The next rows; `None` when the outbox is to be looked into.
    fn take(&self, count_max: usize) -> Option<Vec<OutboxRow>> {
        self.with(|fresh| {
            if std::mem::take(&mut fresh.more) {
                return None;
            }
            let count = fresh.rows.len().min(count_max);
            Some(fresh.rows.drain(..count).collect())
        })
    }

    /// These were found in the outbox; there may be more.
    fn found(&self, rows: &[OutboxRow], more: bool) {
        self.with(|fresh| {
            fresh.rows.retain(|fresh| rows.iter().all(|row| row.seq != fresh.seq));
            fresh.more |= more;
        });
    }

    fn look_again(&self) {
        self.with(|fresh| fresh.more = true);
    }

    fn with<R>(&self, change: impl FnOnce(&mut Fresh) -> R) -> R {
        change(&mut self.inner.fresh.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Events that the broker has stored and the database does not know of yet.
#[derive(Default)]
struct Published {
    seqs: Vec<i64>,
    /// When the first of them was.
    since: Option<Instant>,
}

impl Published {
    fn add(&mut self, seqs: impl IntoIterator<Item = i64>) {
        self.seqs.extend(seqs);
        if !self.seqs.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }
}

/// How many rows [`Written`] may hold.
pub(crate) const fn remembered_max(config: &LoopsConfig) -> usize {
    config.event_count_max as usize * BATCHES_REMEMBERED
}

/// The loop's parts.
pub(crate) struct Events {
    config: LoopsConfig,
    store: Store,
    broker: Broker,
    written: Written,
}

impl Events {
    /// Publishes what is `written`.
    pub(crate) fn new(config: &LoopsConfig, store: &Store, broker: &Broker, written: Written) -> Self {
        Self { config: config.clone(), store: store.clone(), broker: broker.clone(), written }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.event_interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch_every = Duration::from_millis(self.config.event_watch_ms);
        let mut watched_at: Option<Instant> = None;
        let mut seen: Option<StreamPosition> = None;
        let mut pruned_at = Instant::now();
        let mut published = Published::default();
        loop {
            let by_interval = tokio::select! {
                () = shutdown.cancelled() => {
                    // Without them the next start publishes the events again, which does no harm.
                    let _ = timeout(MARK_AT_END, self.mark(&mut published)).await;
                    return;
                }
                () = self.written.inner.wake.notified() => false,
                _ = tick.tick() => true,
                () = self.is_time_to_mark(&published) => {
                    self.mark(&mut published).await;
                    false
                }
            };
            // Where the stream stands changes rarely: a look now and then is enough.
            if by_interval && watched_at.is_none_or(|at| at.elapsed() >= watch_every) {
                watched_at = Some(Instant::now());
                // What the stream has lost is offered again if it is marked.
                self.mark(&mut published).await;
                self.watch_stream(&mut seen).await;
            }
            if by_interval {
                self.written.look_again();
            }
            while self.publish_some(&mut published).await && !shutdown.is_cancelled() {}
            if pruned_at.elapsed() > PRUNE_EVERY {
                pruned_at = Instant::now();
                self.prune().await;
            }
        }
    }

    /// Publishes the oldest; true when there may be more and the broker takes them.
    async fn publish_some(&self, published: &mut Published) -> bool {
        let rows = match self.next(published).await {
            Ok(rows) if rows.is_empty() => return false,
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "events wait for the database");
                self.written.look_again();
                return false;
            }
        };
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let publisher = self.broker.publisher();
        let with_ids = publisher.wants_ids();
        let batch = rows.into_iter().map(|row| self.outgoing(row, with_ids)).collect();
        let results = publisher.publish(batch).await;
        let stored: Vec<i64> =
            seqs.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(seq, _)| *seq).collect();
        counter!("amends_events_published_total").increment(stored.len() as u64);
        let all_stored = stored.len() == seqs.len();
        published.add(stored);
        let is_time = published.since.is_some_and(|since| since.elapsed() >= self.store.marks_wait());
        if is_time { self.mark(published).await && all_stored } else { all_stored }
    }

    /// Never, when there is nothing to mark.
    async fn is_time_to_mark(&self, published: &Published) {
        match published.since {
            Some(since) => sleep_until(since + self.store.marks_wait()).await,
            None => std::future::pending().await,
        }
    }

    async fn mark(&self, published: &mut Published) -> bool {
        let Published { seqs, .. } = std::mem::take(published);
        if seqs.is_empty() {
            return true;
        }
        let marked = self.store.mark_events_published(&seqs).await;
        if let Err(error) = &marked {
            tracing::warn!(%error, "published events could not be marked; they are published again");
        }
        marked.is_ok()
    }

    /// What is to be published next: what was written here, or what stands in the outbox.
    async fn next(&self, published: &mut Published) -> Result<Vec<OutboxRow>, amends_store::Error> {
        let count_max = self.config.event_count_max;
        if let Some(rows) = self.written.take(count_max as usize) {
            return Ok(rows);
        }
        // Else they would be found there.
        self.mark(published).await;
        // What is younger was just written by another process, which publishes it.
        let before = self.store.clock().await?.minus_ms(self.config.event_interval_ms);
        let rows = self.store.unpublished_events(before, count_max).await?;
        self.written.found(&rows, rows.len() >= count_max as usize);
        // Nothing was left there, but something may have been written here.
        Ok(if rows.is_empty() { self.written.take(count_max as usize).unwrap_or_default() } else { rows })
    }

    fn outgoing(&self, row: OutboxRow, with_id: bool) -> Outgoing {
        Outgoing {
            subject: self.broker.names().subject(&row.message_type),
            body: row.envelope.into(),
            message_id: with_id.then_some(row.event_id),
            content_type: CONTENT_TYPE,
            traceparent: None,
            ack: Ack::Own,
        }
    }

    /// Offers everything again when the stream was created anew or has lost its end.
    async fn watch_stream(&self, seen: &mut Option<StreamPosition>) {
        let Ok(Some(position)) = self.broker.stream_position(Stream::Event).await else {
            return; // it cannot be seen, or is about to be created
        };
        let lost = seen
            .is_some_and(|seen| position.created_at != seen.created_at || position.last_seq < seen.last_seq);
        if lost {
            match self.store.republish_events(Timestamp::from_unix_ms(0)).await {
                Ok(events) => tracing::warn!(events, "the event stream lost messages; publishing again"),
                // Not remembered as seen, so that the next look tries again.
                Err(error) => return tracing::warn!(%error, "events wait to be published again"),
            }
        }
        *seen = Some(position);
    }

    async fn prune(&self) {
        let keep_ms = self.config.event_keep_h.saturating_mul(MS_PER_HOUR);
        if let Err(error) = self.store.prune_events(keep_ms).await {
            tracing::warn!(%error, "old events could not be deleted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seqs: std::ops::Range<i64>) -> Vec<OutboxRow> {
        let row = |seq: i64| OutboxRow {
            seq,
            event_id: seq.to_string(),
            message_type: "event.order.created".to_owned(),
            envelope: String::new(),
            created_at: Timestamp::from_unix_ms(seq),
        };
        seqs.map(row).collect()
    }

    #[test]
    fn what_was_written_comes_out_once_and_in_order() {
        let written = Written::default();
        assert_eq!(written.take(3), Some(Vec::new()));
        written.add(rows(1..3), 10);
        written.add(rows(3..6), 10);
        assert_eq!(written.take(3), Some(rows(1..4)));
        assert_eq!(written.take(3), Some(rows(4..6)));
        assert_eq!(written.take(3), Some(Vec::new()));
    }

    #[test]
    fn what_there_is_no_room_for_is_looked_for_in_the_outbox() {
        let written = Written::default();
        written.add(rows(1..11), 10);
        written.add(rows(11..12), 10);
        assert_eq!(written.take(3), None);
        written.add(rows(12..14), 10);
        // One of those just written was found, too; there are more, and then no more.
        written.found(&rows(10..13), true);
        assert_eq!(written.take(3), None);
        written.found(&[], false);
        assert_eq!(written.take(3), Some(rows(13..14)));
        written.look_again();
        assert_eq!(written.take(3), None);
    }
}
