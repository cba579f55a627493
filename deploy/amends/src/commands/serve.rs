//! `amends orchestrator` and its like: one service as a process of its own.
//!
//! Invariant: it ends with 0 only after it was asked to and has drained.

use amends_service::{metrics::Metrics, shutdown, telemetry};
use anyhow::Context;

use crate::{cli::Settings, config, role::Role};

pub(crate) async fn run(role: Role, settings: &Settings) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value;
    telemetry::init(&config.log)?;
    // The first call starts the recording.
    let _ = Metrics::of_process();
    let shutdown = shutdown::signals().context("no signals can be listened for")?;
    tracing::info!(service = role.name(), version = env!("CARGO_PKG_VERSION"), "starting");
    role.run(config, shutdown).await.map(|()| true)
}
