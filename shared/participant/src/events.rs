//! Publishes the outbox, and watches whether the broker still has what it was given.
//!
//! Events of one service go out in the order of their writing as far as that is known; readers must not
//! rest on it. Invariant: what was published in the last day is published again when the stream turns out
//! to have been created anew or to have gone back behind a position it had reached.

use std::{sync::Arc, time::Duration};

use amends_broker::{Ack, Broker, Error as BrokerError, Outgoing, StreamPosition};
use amends_contract::{CONTENT_TYPE, Names, Stream, Timestamp};
use amends_postgres::CLOCK_AHEAD_MAX_MS;
use async_trait::async_trait;
use bytes::Bytes;
use metrics::counter;
use sea_orm::DbErr;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    core::Core,
    database::dialect,
    entity::{event_outbox, event_stream},
    meter, outbox,
    post::Publish,
};

/// Who knows the state of the event stream.
#[async_trait]
pub(crate) trait Position: Send + Sync {
    /// Where it stands; `None` when there is none.
    async fn position(&self) -> Result<Option<StreamPosition>, BrokerError>;
}

#[async_trait]
impl Position for Broker {
    async fn position(&self) -> Result<Option<StreamPosition>, BrokerError> {
        self.stream_position(Stream::Event).await
    }
}

/// Publishes events.
pub(crate) struct Events {
    pub(crate) core: Arc<Core>,
    pub(crate) publish: Arc<dyn Publish>,
    pub(crate) position: Arc<dyn Position>,
    pub(crate) names: Names,
}

impl Events {
    /// Runs until the shutdown. `changed` ticks when the broker's streams are known to have changed.
    pub(crate) async fn run(
        self,
        mut changed: tokio::sync::watch::Receiver<u64>,
        shutdown: CancellationToken,
    ) {
        let config = &self.core.config;
        let mut ticks = interval(Duration::from_millis(config.event_interval_ms.max(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let pause = Duration::from_millis(config.event_watch_ms);
        let mut watched: Option<Instant> = None;
        loop {
            let look = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Ok(()) = changed.changed() => true,
                () = self.core.events.notified() => false,
                _ = ticks.tick() => watched.is_none_or(|last| last.elapsed() >= pause),
            };
            if look {
                watched = Some(Instant::now());
                if let Err(error) = self.watch().await {
                    tracing::warn!(%error, "what is known of the event stream cannot be kept");
                }
            }
            loop {
                match self.round().await {
                    Ok(count) if count >= config.event_count_max && !shutdown.is_cancelled() => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::warn!(%error, "events cannot be published");
                        break;
                    }
                }
            }
        }
    }

    /// Publishes what is due, once; answers how many were published.
    pub(crate) async fn round(&self) -> Result<u64, DbErr> {
        let config = &self.core.config;
        // Looked for without the write lock: mostly there is nothing.
        // Those that were just written are due, though the clock they were written by may be ahead a little.
        let now = dialect::now(self.core.db.reader()).await?.plus_ms(CLOCK_AHEAD_MAX_MS);
        if !outbox::is_due(self.core.db.reader(), now).await? {
            return Ok(0);
        }
        let tx = self.core.db.begin().await?;
        let events = outbox::claim(&tx, now, config.event_lease_ms, config.event_count_max.max(1)).await?;
        tx.commit().await?;
        if events.is_empty() {
            return Ok(0);
        }
        let messages = events.iter().map(|event| self.outgoing(event)).collect();
        let results = self.publish.publish(messages).await;
        let mut published = Vec::new();
        let mut last_seq = 0;
        for (event, result) in events.into_iter().zip(results) {
            match result {
                Ok(stored) => {
                    last_seq = last_seq.max(stored.seq);
                    published.push(event.event_id);
                }
                // Its lease ends, and it is due again.
                Err(error) => tracing::debug!(id = event.event_id, %error, "an event was not published"),
            }
        }
        counter!(meter::EVENTS).increment(published.len() as u64);
        self.mark(&published, last_seq).await?;
        Ok(published.len() as u64)
    }

    async fn mark(&self, published: &[String], last_seq: u64) -> Result<(), DbErr> {
        if published.is_empty() {
            return Ok(());
        }
        let tx = self.core.db.begin().await?;
        outbox::mark(&tx, published, dialect::now(&tx).await?).await?;
        let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
        if let Some(known) = outbox::stream(&tx, &self.stream()).await?
            && known.last_seq < last_seq
        {
            outbox::remember(&tx, event_stream::Model { last_seq, ..known }).await?;
        }
        tx.commit().await
    }

    /// Compares the stream with what was last known of it.
    pub(crate) async fn watch(&self) -> Result<(), DbErr> {
        let position = match self.position.position().await {
            Ok(Some(position)) => position,
            // It will be created, and is then another one.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(%error, "the event stream cannot be asked");
                return Ok(());
            }
        };
        let found = event_stream::Model {
            name: self.stream(),
            created_at_ms: position.created_at.unix_ms(),
            last_seq: i64::try_from(position.last_seq).unwrap_or(i64::MAX),
        };
        let known = outbox::stream(self.core.db.reader(), &found.name).await?;
        let lost = match &known {
            Some(known) if *known == found => return Ok(()),
            Some(known) => known.created_at_ms != found.created_at_ms || known.last_seq > found.last_seq,
            None => false,
        };
        let tx = self.core.db.begin().await?;
        if lost {
            let count = outbox::offer_again(&tx, dialect::now(&tx).await?).await?;
            counter!(meter::EVENTS_LOST).increment(1);
            tracing::warn!(count, stream = found.name, "the stream lost events; they are published again");
        }
        outbox::remember(&tx, found).await?;
        tx.commit().await
    }

    fn stream(&self) -> String {
        self.names.stream(Stream::Event)
    }

    fn outgoing(&self, event: &event_outbox::Model) -> Outgoing {
        Outgoing {
            subject: self.names.subject(&event.message_type),
            body: Bytes::from(event.envelope.clone()),
            message_id: Some(event.event_id.clone()),
            content_type: CONTENT_TYPE,
            traceparent: None,
            ack: Ack::Own,
        }
    }
}

/// Until when events are kept after they were published.
pub(crate) fn oldest(now: Timestamp, kept_s: u64) -> Timestamp {
    now.minus_ms(kept_s.saturating_mul(1_000))
}
