//! `amends mail-catcher`: a mail server that delivers nothing and shows what it was given.
//!
//! Invariant: where it listens by default is where notification sends by default.

use amends_notification::catcher::Catcher;
use amends_service::{HttpConfig, LogConfig, http, shutdown, telemetry};
use anyhow::Context;

use crate::cli::MailCatcher;

pub(crate) async fn run(command: MailCatcher) -> anyhow::Result<bool> {
    telemetry::init(&LogConfig::default())?;
    let shutdown = shutdown::signals().context("no signals can be listened for")?;
    let catcher = Catcher::start_keeping(command.smtp, command.keep)
        .await
        .with_context(|| format!("cannot listen for SMTP on {}: choose another with --smtp", command.smtp))?;
    tracing::info!(address = %catcher.smtp_addr(), "catching mail");
    let config = HttpConfig { listen: command.http, ..HttpConfig::default() };
    let listener = http::bind(&config).await?;
    http::serve(listener, catcher.router(), &config, shutdown).await?;
    Ok(true)
}
