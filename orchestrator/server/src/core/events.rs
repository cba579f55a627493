//! Publishes the events that commits have written, and publishes them again when the broker lost them.
//!
//! Invariant: an event is marked published only after the broker has stored it; its id makes a repetition
//! harmless.

use std::sync::Arc;
use std::time::Duration;

use amends_broker::{Ack, Broker, Outgoing, StreamPosition};
use amends_contract::{CONTENT_TYPE, Stream, Timestamp};
use amends_store::{OutboxRow, Store};
use metrics::counter;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::config::LoopsConfig;

/// How often published rows beyond their time are deleted.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

const MS_PER_HOUR: u64 = 3_600_000;

/// The loop's parts.
pub(crate) struct Events {
    config: LoopsConfig,
    store: Store,
    broker: Broker,
    wake: Arc<Notify>,
}

impl Events {
    /// `wake` says that a commit has written some.
    pub(crate) fn new(config: &LoopsConfig, store: &Store, broker: &Broker, wake: Arc<Notify>) -> Self {
        Self { config: config.clone(), store: store.clone(), broker: broker.clone(), wake }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_millis(self.config.event_interval_ms));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watch_every = Duration::from_millis(self.config.event_watch_ms);
        let mut watched_at: Option<Instant> = None;
        let mut seen: Option<StreamPosition> = None;
        let mut pruned_at = Instant::now();
        loop {
            let by_interval = tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.wake.notified() => false,
                _ = tick.tick() => true,
            };
            // Where the stream stands changes rarely: a look now and then is enough.
            if by_interval && watched_at.is_none_or(|at| at.elapsed() >= watch_every) {
                watched_at = Some(Instant::now());
                self.watch_stream(&mut seen).await;
            }
            while self.publish_some().await && !shutdown.is_cancelled() {}
            if pruned_at.elapsed() > PRUNE_EVERY {
                pruned_at = Instant::now();
                self.prune().await;
            }
        }
    }

    /// Publishes the oldest; true when there are more and the broker takes them.
    async fn publish_some(&self) -> bool {
        let rows = match self.store.unpublished_events(self.config.event_count_max).await {
            Ok(rows) if rows.is_empty() => return false,
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(%error, "events wait for the database");
                return false;
            }
        };
        let full = rows.len() >= self.config.event_count_max as usize;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let batch = rows.into_iter().map(|row| self.outgoing(row)).collect();
        let results = self.broker.publisher().publish(batch).await;
        let stored: Vec<i64> =
            seqs.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(seq, _)| *seq).collect();
        counter!("amends_events_published_total").increment(stored.len() as u64);
        let all_stored = stored.len() == seqs.len();
        match self.store.mark_events_published(&stored).await {
            Ok(()) => full && all_stored,
            Err(error) => {
                tracing::warn!(%error, "published events could not be marked; they are published again");
                false
            }
        }
    }

    fn outgoing(&self, row: OutboxRow) -> Outgoing {
        Outgoing {
            subject: self.broker.names().subject(&row.message_type),
            body: row.envelope.into(),
            message_id: Some(row.event_id),
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
