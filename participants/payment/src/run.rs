//! Starts the participant, and ends it.

use std::sync::Arc;

use amends_broker::Broker;
use amends_participant::{Database, Participant};
use amends_service::{Health, http, openapi};
use anyhow::Context;
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::commands::{
    CHARGE_PAYMENT, ChargePayment, REFUND_ORDER, REFUND_PAYMENT, RefundOrder, RefundPayment,
};
use crate::gateway::{Gateway, HttpGateway};
use crate::http::Shown;
use crate::locks::PaymentLocks;
use crate::{Config, migration};

const NAME: &str = "payment";

/// Names of the migrations that its database has to have taken.
#[must_use]
pub fn migrations() -> Vec<String> {
    Participant::new(NAME).migrations(migration::all).migration_names()
}

/// Brings the participant's database up to date.
///
/// # Errors
/// The database cannot be reached or changed.
pub async fn migrate(config: &Config) -> anyhow::Result<()> {
    let db = connect(config).await?;
    Participant::new(NAME).migrations(migration::all).migrate(&db).await?;
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
    let gateway: Arc<dyn Gateway> = Arc::new(HttpGateway::new(&config.gateway)?);
    let db = connect(&config).await?;
    let participant = participant(&gateway);
    participant.migrate(&db).await.context("payment: the database cannot be brought up to date")?;
    let listener = http::bind(&config.http).await.context("payment.http.listen")?;
    let broker = Broker::connect(&nats, NAME).await?;

    // Also ends the one when the other ends by itself.
    let stop = shutdown.child_token();
    let router = router(&config, &db, &broker, gateway, &stop);
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move {
            let served = http::serve(listener, router, &config.http, stop.clone()).await;
            stop.cancel();
            served
        }
    });
    let worked = participant.run(db.clone(), broker.clone(), config.participant, stop.clone()).await;
    stop.cancel();
    let served = serving.await.context("payment: the HTTP server broke")?;
    broker.close().await;
    db.close().await;
    worked.context("payment")?;
    served.context("payment: the HTTP listener failed")
}

async fn connect(config: &Config) -> anyhow::Result<Database> {
    Database::connect(&config.database.url, &config.pools).await.context("payment.database.url")
}

fn participant(gateway: &Arc<dyn Gateway>) -> Participant {
    Participant::new(NAME)
        .on_external(CHARGE_PAYMENT, ChargePayment { gateway: Arc::clone(gateway) })
        .on_external(REFUND_PAYMENT, RefundPayment { gateway: Arc::clone(gateway) })
        .on_external(REFUND_ORDER, RefundOrder { gateway: Arc::clone(gateway) })
        .locks(PaymentLocks)
        .migrations(migration::all)
}

fn router(
    config: &Config,
    db: &Database,
    broker: &Broker,
    gateway: Arc<dyn Gateway>,
    stop: &CancellationToken,
) -> Router {
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
    let shown = Shown {
        db: db.clone(),
        gateway,
        page_count: config.page_count,
        page_count_max: config.page_count_max,
    };
    openapi::with_docs(crate::http::router(shown).merge(health.router()))
}
