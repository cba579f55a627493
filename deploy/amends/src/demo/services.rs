//! The services of the demo: tasks of this process, or processes of their own.
//!
//! Payment is always a process: the demo kills it, and a task cannot be killed.
//!
//! Invariant: a service gets the same settings however and how often it is started; one that ends by
//! itself ends the demo, with the end of its log.

use std::{collections::BTreeMap, env, path::PathBuf, time::Duration};

use amends_service::config::Sources;
use anyhow::{Context, bail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::child::{Child, tail};
use crate::{config::Config, role::Role};

/// A drain takes at most ten seconds; who takes longer hangs.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// Settings by key, such as `inventory.http.listen`.
pub(crate) type Settings = BTreeMap<String, String>;

/// All services.
pub(crate) struct Services {
    settings: Settings,
    as_processes: bool,
    logs: PathBuf,
    own_log: PathBuf,
    running: BTreeMap<Role, Running>,
}

enum Running {
    Task { handle: JoinHandle<anyhow::Result<()>>, stop: CancellationToken },
    Process(Child),
}

impl Services {
    /// Not started yet. What tasks log stands in `own_log`, what processes do in `logs`.
    pub(crate) fn new(settings: Settings, as_processes: bool, logs: PathBuf, own_log: PathBuf) -> Self {
        Self { settings, as_processes, logs, own_log, running: BTreeMap::new() }
    }

    /// The configuration that they get.
    pub(crate) fn config(&self) -> anyhow::Result<Config> {
        let sources = self
            .settings
            .iter()
            .fold(Sources::new(None, Vec::new()), |sources, (key, value)| sources.flag(key, value, "demo"));
        Ok(sources.load()?.value)
    }

    /// Starts one.
    pub(crate) fn start(&mut self, role: Role) -> anyhow::Result<()> {
        let running = if self.as_processes || role == Role::Payment {
            let program = env::current_exe().context("the path of this program is unknown")?;
            // In the environment, not as flags: everybody may read those, and there are passwords.
            let variable = |key: &str| format!("AMENDS_{}", key.to_ascii_uppercase().replace('.', "__"));
            let env: Vec<_> =
                self.settings.iter().map(|(key, value)| (variable(key), value.clone())).collect();
            Running::Process(Child::start(role.name(), &program, &[role.name().into()], &env, &self.logs)?)
        } else {
            let stop = CancellationToken::new();
            let handle = tokio::spawn(role.run(self.config()?, stop.clone()));
            Running::Task { handle, stop }
        };
        self.running.insert(role, running);
        Ok(())
    }

    /// Kills one with SIGKILL; its process id.
    pub(crate) async fn kill(&mut self, role: Role) -> anyhow::Result<u32> {
        match self.running.remove(&role) {
            Some(Running::Process(mut child)) => {
                let pid = child.pid().with_context(|| format!("{role} has ended already"))?;
                child.kill().await.with_context(|| format!("{role} cannot be killed"))?;
                Ok(pid)
            }
            _ => bail!("{role} is no process that could be killed"),
        }
    }

    /// An error when one has ended by itself.
    pub(crate) async fn alive(&mut self) -> anyhow::Result<()> {
        for (role, running) in &mut self.running {
            match running {
                Running::Process(child) => child.alive()?,
                Running::Task { handle, .. } if handle.is_finished() => {
                    let why = match handle.await {
                        Ok(Ok(())) => "without a word".to_owned(),
                        Ok(Err(error)) => format!("{error:#}"),
                        Err(panic) => panic.to_string(),
                    };
                    bail!("{role} ended by itself: {why}; the end of the log:\n{}", tail(&self.own_log));
                }
                Running::Task { .. } => {}
            }
        }
        Ok(())
    }

    /// Asks all to drain and end, the orchestrator first; who does not is killed.
    pub(crate) async fn stop(&mut self) {
        for (role, running) in std::mem::take(&mut self.running).into_iter().rev() {
            match running {
                Running::Process(mut child) => {
                    if let Err(error) = child.stop(STOP_PATIENCE).await {
                        tracing::warn!(%role, %error, "does not stop");
                    }
                }
                Running::Task { mut handle, stop } => {
                    stop.cancel();
                    if tokio::time::timeout(STOP_PATIENCE, &mut handle).await.is_err() {
                        tracing::warn!(%role, "does not drain and is cut off");
                        handle.abort();
                    }
                }
            }
        }
    }
}
