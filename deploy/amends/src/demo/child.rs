//! A child process of the demo: on a leash, in a group of its own, with its output in a file.
//!
//! The group keeps the terminal's Ctrl-C away from it, so that the demo says in which order things end;
//! the leash and kill-on-drop see to it that it ends with the demo however that ends.
//!
//! Invariant: who ends without having been told to is reported with the end of its log.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::Context;
use process_wrap::tokio::{ChildWrapper, CommandWrap, KillOnDrop, ProcessGroup};
use rustix::process::Signal;
use tokio::time::timeout;

/// How much of a log is shown.
const TAIL_LINES: usize = 25;

/// A running child.
pub(crate) struct Child {
    name: String,
    inner: Box<dyn ChildWrapper>,
    log: PathBuf,
}

impl Child {
    /// Starts `program`; its output is appended to `<logs>/<name>.log`. Of the caller's own settings it
    /// sees none: it gets what the demo gives it.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[OsString],
        env: &[(String, String)],
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).append(true).open(&log)?;
        let errors = file.try_clone()?;
        let leash = std::env::current_exe().context("the path of this program is unknown")?;
        let mut command = CommandWrap::with_new(leash, |command| {
            command.arg("leash").arg(std::process::id().to_string()).arg(program).args(arguments);
            for (name, _) in std::env::vars_os() {
                if name == "DATABASE_URL" || name.to_string_lossy().starts_with("AMENDS_") {
                    command.env_remove(name);
                }
            }
            command.envs(env.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null()).stdout(file).stderr(errors);
        });
        command.wrap(ProcessGroup::leader()).wrap(KillOnDrop);
        let inner = command.spawn().with_context(|| format!("{name} does not start"))?;
        Ok(Self { name: name.to_owned(), inner, log })
    }

    /// Its process id while it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.inner.id()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        self.inner.start_kill()?;
        self.inner.wait().await.map(|_| ())
    }

    /// Asks it to end, and kills it when it does not within `patience`.
    pub(crate) async fn stop(&mut self, patience: Duration) -> io::Result<()> {
        if self.inner.try_wait()?.is_some() {
            return Ok(());
        }
        self.inner.signal(Signal::TERM.as_raw())?;
        match timeout(patience, self.inner.wait()).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => self.kill().await,
        }
    }

    /// An error when it has ended.
    pub(crate) fn alive(&mut self) -> anyhow::Result<()> {
        match self.inner.try_wait().with_context(|| format!("{} cannot be asked", self.name))? {
            None => Ok(()),
            Some(status) => Err(self.ended(status)),
        }
    }

    fn ended(&self, status: ExitStatus) -> anyhow::Error {
        anyhow::anyhow!("{} ended by itself ({status}); the end of its log:\n{}", self.name, tail(&self.log))
    }
}

/// The end of a log.
pub(crate) fn tail(log: &Path) -> String {
    last_lines(log, |_| true)
}

/// The last warnings and errors of a log: ours, nats-server's, and panics.
pub(crate) fn troubles(log: &Path) -> String {
    const SIGNS: [&str; 6] = [" WARN ", " ERROR ", "panicked", "[WRN]", "[ERR]", "[FTL]"];
    last_lines(log, |line| SIGNS.iter().any(|sign| line.contains(sign)))
}

fn last_lines(log: &Path, wanted: impl Fn(&str) -> bool) -> String {
    let text = match fs::read(log) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("({}: {error})", log.display()),
    };
    let lines: Vec<_> = text.lines().filter(|line| wanted(line)).collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    lines[from..].iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("a.log");
        fs::write(&log, (1..=100).map(|n| format!("{n}\n")).collect::<String>()).unwrap();
        let tail = tail(&log);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.ends_with("| 100"), "{tail}");

        fs::write(&log, "1 INFO all is well\n2 WARN the provider is slow\n[7] 2026/11/21 [ERR] no\n")
            .unwrap();
        assert_eq!(troubles(&log).lines().count(), 2);
    }
}
