//! `amends orchestrator` and its like: one service as a process of its own.
//!
//! Invariant: it ends with 0 only after it was asked to and has drained.

use amends_planted as planted;
use amends_service::{metrics::Metrics, shutdown, telemetry};
use anyhow::Context;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    cli::Settings,
    config::{self, Config},
    role::Role,
};

pub(crate) fn run(role: Role, settings: &Settings) -> anyhow::Result<bool> {
    let config = config::load(settings)?.value;
    super::provide_tls();
    config.runtime.start()?.block_on(serve(role, config))
}

async fn serve(role: Role, config: Config) -> anyhow::Result<bool> {
    let planted = planted::of_process()?;
    telemetry::init(&config.log)?;
    if let Some(bug) = planted {
        tracing::warn!(%bug, "a bug is planted in this process");
    }
    open_as_many_files_as_may_be();
    // The first call starts the recording.
    let _ = Metrics::of_process();
    let shutdown = shutdown::signals().context("no signals can be listened for")?;
    tracing::info!(service = role.name(), version = env!("CARGO_PKG_VERSION"), "starting");
    role.run(config, shutdown).await.map(|()| true)
}

/// Raises the soft limit of open files to the hard one. Systems hand out 1,024 for the sake of programs that use
/// `select`; the two listeners of an orchestrator alone may take more.
fn open_as_many_files_as_may_be() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}
