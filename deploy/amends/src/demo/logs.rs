//! What the services inside of the demo log goes into a file: the terminal belongs to the play.
//!
//! Invariant: nothing is logged to the terminal; the file goes with the scratch folder.

use std::{fs::File, path::Path, sync::Arc};

use amends_service::{LogConfig, metrics::Metrics};
use anyhow::Context;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Logs into this file from now on.
pub(crate) fn init(path: &Path) -> anyhow::Result<()> {
    let file = File::create(path).with_context(|| format!("{} cannot be made", path.display()))?;
    let filter = EnvFilter::try_new(LogConfig::default().filter).context("the default filter")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(Arc::new(file)).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(lines).try_init().context("logs")?;
    // The first call starts the recording.
    let _ = Metrics::of_process();
    Ok(())
}
