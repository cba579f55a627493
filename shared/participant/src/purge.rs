//! Deletes what has had its time: inbox rows beyond the horizon, published events.
//!
//! Invariant: in small transactions, so that commands never wait for it; and no inbox row goes whose
//! command would still be run.

use std::{sync::Arc, time::Duration};

use amends_planted::{Bug, planted};
use metrics::counter;
use sea_orm::DbErr;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{core::Core, database::dialect, events, inbox, meter, outbox};

/// Runs until the shutdown.
pub(crate) async fn run(core: Arc<Core>, shutdown: CancellationToken) {
    let mut ticks = interval(Duration::from_secs(core.config.purge_interval_s.max(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        loop {
            match round(&core).await {
                Ok(count) if count >= core.config.purge_count_max && !shutdown.is_cancelled() => {}
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(%error, "old rows cannot be purged");
                    break;
                }
            }
        }
    }
}

/// Purges once; answers how many rows went, of the kind of which more did.
pub(crate) async fn round(core: &Core) -> Result<u64, DbErr> {
    let config = &core.config;
    let limit = config.purge_count_max.max(1);
    let tx = core.db.begin().await?;
    let now = dialect::now(&tx).await?;
    let second_ms = if planted(Bug::PurgesEarly) { 1 } else { 1_000 };
    let age_ms = config.horizon_s.saturating_add(config.purge_margin_s).saturating_mul(second_ms);
    let rows = inbox::purge(&tx, now.minus_ms(age_ms), limit).await?;
    let events = outbox::purge(&tx, events::oldest(now, config.event_kept_s), limit).await?;
    tx.commit().await?;
    counter!(meter::PURGED).increment(rows);
    Ok(rows.max(events))
}
