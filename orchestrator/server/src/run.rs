//! Starts the orchestrator and stops it again.
//!
//! Invariant: on shutdown nothing new is let in, what was let in is committed, and what is committed and
//! not yet sent is left to the timers of the next process.

use amends_broker::Broker;
use amends_store::{Access, Store};
use anyhow::Context;
use tokio_util::sync::CancellationToken;

use crate::Config;
use crate::core::{Core, Definitions};
use crate::http;

/// Runs the orchestrator until `shutdown` is cancelled.
///
/// # Errors
/// When it cannot start: the message says what is missing and what to do.
pub async fn run(
    config: Config,
    nats: amends_broker::Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let store = Store::connect(&config.database, Access::Exclusive)
        .await
        .context("the orchestrator's database cannot be opened")?;
    store.migrate().await.context("the orchestrator's database cannot be migrated")?;
    let definitions = Definitions::load(&config.definitions, &store, config.horizon_s)
        .await
        .with_context(|| format!("saga definitions in {}", config.definitions.display()))?;
    let broker = Broker::connect(&nats, amends_contract::ORCHESTRATOR)
        .await
        .context("the broker's address or credentials are wrong")?;

    // The listeners stop first, then the loops, so that what was let in is committed.
    let loops_stop = CancellationToken::new();
    let (core, mut loops) = Core::spawn(store, definitions, &broker, &config.loops, &loops_stop);
    let events_s = nats.streams.limits(amends_contract::Stream::Event).max_age_s;
    loops.retain(&core, &config.retention, (config.horizon_s, events_s), &loops_stop);
    let served = {
        let serving = http::serve(&config, core, &broker, &shutdown);
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => served,
            () = loops.failed() => {
                shutdown.cancel();
                serving.await.and(Err(anyhow::anyhow!("a loop of the orchestrator ended; restart the process")))
            }
        }
    };
    loops_stop.cancel();
    loops.drained().await;
    broker.close().await;
    served
}
