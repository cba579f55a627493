//! The participants of the world `books`: on our SDK, each command writes one row into the service's own database,
//! in the inbox' transaction, as the floor's do.
//!
//! They serve the commands of the shipped order saga under its names. Invariant: an effect that was done has
//! exactly one row; a declined charge has none.

mod commands;
pub(crate) mod effect;
mod migration;

use amends_broker::Broker;
use amends_participant::{Database, Participant, Pools};
use amends_service::{Health, HttpConfig, LogConfig, http, metrics::Metrics, openapi, shutdown, telemetry};
use anyhow::Context as _;
use clap::{Args, ValueEnum};

use commands::Enter;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Who {
    /// `reserve-stock`, `release-stock`, `confirm-stock`.
    Inventory,
    /// `charge-payment`, `refund-payment`.
    Payment,
    /// `send-confirmation`, `send-rejection`.
    Notification,
}

/// How it is started.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// Which one.
    who: Who,
    /// The broker, as nats://host:port.
    #[arg(long)]
    nats: String,
    /// Its own database.
    #[arg(long)]
    database_url: String,
    /// Where health and metrics are shown, as host:port.
    #[arg(long)]
    listen: String,
    /// What is logged.
    #[arg(long, default_value = "warn")]
    log: String,
    /// Most replies in one message.
    #[arg(long, default_value_t = 1)]
    bundle: usize,
    /// Copies of each stream.
    #[arg(long, default_value_t = 1)]
    copies: usize,
}

impl Who {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inventory, Self::Payment, Self::Notification];

    /// Its name, as the definition calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inventory => "inventory",
            Self::Payment => "payment",
            Self::Notification => "notification",
        }
    }

    fn participant(self) -> Participant {
        let participant = Participant::new(self.name()).migrations(migration::all);
        match self {
            Self::Inventory => participant
                .on_bulk("reserve-stock", Enter::Reservation)
                .on_bulk("release-stock", Enter::Undo)
                .on_bulk("confirm-stock", Enter::Action),
            Self::Payment => {
                participant.on_bulk("charge-payment", Enter::Charge).on_bulk("refund-payment", Enter::Undo)
            }
            Self::Notification => participant
                .on_bulk("send-confirmation", Enter::Action)
                .on_bulk("send-rejection", Enter::Action),
        }
    }
}

/// Runs it until it is told to end.
///
/// # Errors
/// When it cannot start.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { who, nats, database_url, listen, log, bundle, copies } = arguments;
    telemetry::init(&LogConfig { filter: log, ..LogConfig::default() })?;
    // The first call starts the recording.
    let _ = Metrics::of_process();
    let stop = shutdown::signals()?.child_token();
    let db = Database::connect(&database_url, &Pools::default()).await.context("--database-url")?;
    // So that it is ready only when its tables are there.
    who.participant().migrate(&db).await?;
    let http_config = HttpConfig { listen, ..HttpConfig::default() };
    let listener = http::bind(&http_config).await.context("--listen")?;
    let mut config = amends_broker::Config {
        url: nats.as_str().into(),
        bundle_count_max: bundle,
        ..amends_broker::Config::default()
    };
    config.streams.replicas = copies;
    let broker = Broker::connect(&config, who.name()).await?;
    let health = Health::new(who.name(), &stop);
    health.add("broker", {
        let broker = broker.clone();
        move || std::future::ready(broker.health().not_ready().map_or(Ok(()), Err))
    });
    let about = openapi::router("A participant of the benchmark", "It enters what it is told.");
    let router = openapi::with_docs(about.merge(health.router()));
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { http::serve(listener, router, &http_config, stop).await }
    });
    let worked =
        who.participant().run(db, broker.clone(), amends_participant::Config::default(), stop.clone()).await;
    stop.cancel();
    serving.await??;
    broker.close().await;
    worked.map_err(Into::into)
}
