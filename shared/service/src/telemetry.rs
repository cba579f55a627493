//! Logs of the process: text for people, JSON lines for machines, both on standard error.
//!
//! Invariant: standard output belongs to the command that runs; nothing is logged there.

use std::io::{self, IsTerminal};

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What is logged, and how.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Which events, as `tracing`'s filters say it: `info,amends_server=debug`. The libraries below us are
    /// quiet by default: what matters of them comes as our own events.
    pub filter: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line for people, coloured on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info,async_nats=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn".to_owned(),
            format: LogFormat::Text,
        }
    }
}

/// Why there are no logs.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter = {filter:?} cannot be read: {why}; write it like \"info,amends_server=debug\"")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        why: String,
    },
    /// Logging has been set up before in this process.
    #[error("logs have been set up twice in this process")]
    Twice,
}

/// Sets up logs for the whole process; panics are logged, too.
///
/// # Errors
/// [`TelemetryError`] when the filter cannot be read, or on a second call.
pub fn init(config: &LogConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| TelemetryError::Filter { filter: config.filter.clone(), why: error.to_string() })?;
    let registry = tracing_subscriber::registry().with(filter);
    match config.format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(colours);
            registry.with(lines).try_init()
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init()
        }
    }
    .map_err(|_| TelemetryError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(location, panic = panic.payload_as_str().unwrap_or("?"), "panicked");
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_cannot_be_read_is_named_with_the_remedy() {
        let config = LogConfig { filter: "info,=,".to_owned(), ..LogConfig::default() };
        let error = init(&config).unwrap_err().to_string();
        assert!(error.starts_with("log.filter = \"info,=,\" cannot be read"), "{error}");
        assert!(error.contains("info,amends_server=debug"), "{error}");
    }
}
