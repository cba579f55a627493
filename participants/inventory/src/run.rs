//! Starts the participant, and ends it.

use amends_broker::Broker;
use amends_participant::{Database, Participant};
use amends_service::{Health, http, openapi};
use anyhow::Context;
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::commands::{
    CANCEL_TAKE_BACK, CONFIRM, CancelTakeBack, ConfirmStock, RELEASE, RESERVE, RESTOCK, ReleaseStock,
    ReserveStock, Restock, TAKE_BACK, TakeBack,
};
use crate::http::Shown;
use crate::locks::StockLocks;
use crate::{Config, migration};

pub(crate) const NAME: &str = "inventory";

/// Names of the migrations that its database has to have taken.
#[must_use]
pub fn migrations() -> Vec<String> {
    participant().migration_names()
}

/// Brings the participant's database up to date.
///
/// # Errors
/// The database cannot be reached or changed.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    participant().migrate(&db).await?;
    db.close().await;
    Ok(())
}

/// Runs the participant until the token is cancelled, then drains.
///
/// # Errors
/// It cannot start: the configuration, the database or the port is at fault.
pub async fn run(
    config: Config,
    nats: amends_broker::Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let db = connect(&config).await?;
    participant().migrate(&db).await.context("inventory: the database cannot be brought up to date")?;
    let listener = http::bind(&config.http).await.context("inventory.http.listen")?;
    let broker = Broker::connect(&nats, NAME).await?;

    // Also ends the one when the other ends by itself.
    let stop = shutdown.child_token();
    let router = router(&config, &db, &broker, &stop);
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move {
            let served = http::serve(listener, router, &config.http, stop.clone()).await;
            stop.cancel();
            served
        }
    });
    let worked = participant().run(db.clone(), broker.clone(), config.participant, stop.clone()).await;
    stop.cancel();
    let served = serving.await.context("inventory: the HTTP server broke")?;
    broker.close().await;
    db.close().await;
    worked.context("inventory")?;
    served.context("inventory: the HTTP listener failed")
}

async fn connect(config: &Config) -> anyhow::Result<Database> {
    Database::connect(&config.database.url, &config.pools).await.context("inventory.database.url")
}

pub(crate) fn participant() -> Participant {
    Participant::new(NAME)
        .on(RESERVE, ReserveStock)
        .on(RELEASE, ReleaseStock)
        .on(CONFIRM, ConfirmStock)
        .on(TAKE_BACK, TakeBack)
        .on(CANCEL_TAKE_BACK, CancelTakeBack)
        .on(RESTOCK, Restock)
        .locks(StockLocks)
        .migrations(migration::all)
}

fn router(config: &Config, db: &Database, broker: &Broker, stop: &CancellationToken) -> Router {
    let health = Health::new(NAME, stop);
    health.add("database", {
        let db = db.clone();
        move || {
            let db = db.clone();
            async move { db.ping().await.map_err(|error| error.to_string()) }
        }
    });
    health.add("broker", {
        let broker = broker.clone();
        move || std::future::ready(broker.health().not_ready().map_or(Ok(()), Err))
    });
    let shown =
        Shown { db: db.clone(), page_count: config.page_count, page_count_max: config.page_count_max };
    openapi::with_docs(crate::http::router(shown).merge(health.router()))
}
