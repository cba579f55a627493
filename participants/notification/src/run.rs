//! Starts the participant, and ends it.

use std::sync::Arc;

use amends_broker::Broker;
use amends_participant::{Database, Participant};
use amends_service::{Health, http, openapi};
use anyhow::Context;
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::commands::SendMail;
use crate::domain::Occasion;
use crate::http::Shown;
use crate::ledger::Ledger;
use crate::letter::Letters;
use crate::smtp::Smtp;
use crate::{Config, migration};

const NAME: &str = "notification";

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
/// It cannot start: the configuration, a template, the database or the port is at fault.
pub async fn run(
    config: Config,
    nats: amends_broker::Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let longest_ms = config.smtp.longest_ms();
    if config.participant.call_timeout_ms < longest_ms {
        anyhow::bail!(
            "notification.participant.call_timeout_ms must be at least {longest_ms}, what the timeouts of \
             notification.smtp add up to: a mail that is given up earlier is in doubt for nothing"
        );
    }
    let smtp = Arc::new(Smtp::new(&config.smtp)?);
    let letters = Arc::new(Letters::new(&config.smtp.from, config.templates_dir.as_deref())?);
    let db = connect(&config).await?;
    let ledger = Ledger::start(db.clone(), config.notes_count_max);
    let participant = participant(&config, &letters, &smtp, &ledger);
    participant.migrate(&db).await.context("notification: the database cannot be brought up to date")?;
    let listener = http::bind(&config.http).await.context("notification.http.listen")?;
    let broker = Broker::connect(&nats, NAME).await?;

    // Also ends the one when the other ends by itself.
    let stop = shutdown.child_token();
    let router = router(&config, &db, &broker, smtp, &stop);
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
    let served = serving.await.context("notification: the HTTP server broke")?;
    broker.close().await;
    db.close().await;
    worked.context("notification")?;
    served.context("notification: the HTTP listener failed")
}

async fn connect(config: &Config) -> anyhow::Result<Database> {
    Database::connect(&config.database.url, &config.pools).await.context("notification.database.url")
}

fn participant(config: &Config, letters: &Arc<Letters>, smtp: &Arc<Smtp>, ledger: &Ledger) -> Participant {
    let send = |occasion| SendMail {
        occasion,
        letters: Arc::clone(letters),
        smtp: Arc::clone(smtp),
        ledger: ledger.clone(),
        on_uncertain: config.on_uncertain,
    };
    Occasion::ALL
        .into_iter()
        .fold(Participant::new(NAME), |participant, occasion| {
            participant.on_external(occasion.command(), send(occasion))
        })
        .migrations(migration::all)
}

fn router(
    config: &Config,
    db: &Database,
    broker: &Broker,
    smtp: Arc<Smtp>,
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
    let shown =
        Shown { db: db.clone(), smtp, page_count: config.page_count, page_count_max: config.page_count_max };
    openapi::with_docs(crate::http::router(shown).merge(health.router()))
}
