//! A process of a test: its output goes to a file, it can be killed, and it dies with its test.
//!
//! Invariant: no process outlives the test that started it, however that ends: dropped, it is killed; if
//! the test itself is killed, the kernel kills it (see `amends leash`).

use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{call, patience};

/// How much of a log a message shows.
const TAIL_LINES: usize = 40;

/// A running process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: &'a [&'a str],
    /// What its environment has besides ours.
    pub env: &'a [(String, String)],
}

impl Process {
    /// Starts a program; what it writes is appended to `<logs>/<name>.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(name: &str, launch: Launch<'_>, logs: &Path) -> Self {
        let mut command = call();
        command.arg("leash").arg(std::process::id().to_string()).arg(launch.program).args(launch.arguments);
        command.envs(launch.env.iter().map(|(name, value)| (name, value)));
        Self::spawn(name, command, logs)
    }

    /// Starts a command as it is.
    pub(crate) fn spawn(name: &str, mut command: Command, logs: &Path) -> Self {
        fs::create_dir_all(logs).expect("the folder of the logs can be made");
        let log = logs.join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).append(true).open(&log).expect("a log can be opened");
        let errors = file.try_clone().expect("a file handle can be copied");
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?} does not start: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL: no handler runs, no buffer is written.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child of ours can be killed");
        self.child.wait().expect("a child of ours can be waited for");
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not end within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        patience::soon(&format!("{} ends after SIGTERM", self.name), patience, || {
            self.child.try_wait().expect("a child of ours can be asked")
        })
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the kernel refuses.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid is a positive i32");
        kill_process(pid, signal).expect("a child of ours can be signalled");
    }

    /// Its exit status if it has ended.
    ///
    /// # Panics
    /// When the kernel does not know it.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be asked")
    }

    /// All of its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        text.unwrap_or_else(|error| format!("({error})"))
    }

    /// The end of its log.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.log();
        let lines: Vec<_> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("--- the end of {}\n{}\n", self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended; then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
