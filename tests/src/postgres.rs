//! A PostgreSQL cluster of a test's own, from the installed programs.
//!
//! PostgreSQL refuses to run as root; a test that is root runs it as the user `postgres`.
//!
//! Invariant: it listens on loopback only, trusts nobody else, and its folder goes with it.

use std::{
    env, fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Process, faketime, free_port, patience, process::Launch};

const USER: &str = "postgres";
const PATIENCE: Duration = Duration::from_secs(60);

/// How a cluster keeps what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    /// Without fsync, reached over TCP: the machine does not crash within a test, only processes do.
    Fast,
    /// As PostgreSQL does by itself, reached over its Unix socket as well.
    Durable,
    /// As its settings file says, reached over TCP.
    Configured,
}

/// A running cluster.
pub struct Cluster {
    // Fields drop in this order: first the server, then its folder.
    process: Process,
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    keeping: Keeping,
}

impl Cluster {
    /// Makes and starts one that is fast and would lose data if the machine crashed.
    ///
    /// # Panics
    /// When PostgreSQL is not installed; with the line that installs it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_keeping(Keeping::Fast)
    }

    /// Makes and starts one that keeps what it has committed, to be measured. Its URLs lead over its Unix
    /// socket.
    ///
    /// # Panics
    /// When PostgreSQL is not installed; with the line that installs it.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_keeping(Keeping::Durable)
    }

    /// The same, with the settings of a file that is included at the end of its own.
    ///
    /// # Panics
    /// When PostgreSQL is not installed; with the line that installs it.
    #[must_use]
    pub fn start_with(settings: &Path) -> Self {
        Self::start_from(Keeping::Configured, Some(settings))
    }

    fn start_keeping(keeping: Keeping) -> Self {
        Self::start_from(keeping, None)
    }

    fn start_from(keeping: Keeping, settings: Option<&Path>) -> Self {
        let programs = programs();
        let folder =
            tempfile::Builder::new().prefix("amends-postgres-").tempdir().expect("a temporary folder");
        let owner = owner();
        if let Some((uid, gid)) = owner {
            chown(folder.path(), Some(uid), Some(gid)).expect("root may give a folder away");
        }
        let data = folder.path().join("data");
        // What initdb wrote is not what is tested.
        let made = as_owner(&programs.join("initdb"), owner)
            .current_dir(folder.path())
            .args([
                "--auth=trust",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
                "--username",
                USER,
                "--pgdata",
            ])
            .arg(&data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        if let Some(settings) = settings {
            // A copy, since the server's user may not read the checkout.
            let text = fs::read_to_string(settings).expect("the settings can be read");
            let path = data.join("postgresql.conf");
            let before = fs::read_to_string(&path).expect("initdb has written one");
            fs::write(&path, before + &text).expect("it can be written");
        }
        let port = free_port();
        let process = run(&programs, folder.path(), port, keeping);
        Self { process, folder, programs, port, keeping }
    }

    /// One of its programs, such as `psql`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Sends a signal to all its processes, the first of them first: one that stands still makes no others.
    pub fn signal_all(&self, signal: Signal) {
        let pid = self.process.pid();
        self.process.signal(signal);
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        // Of one that has ended there are none.
        for child in
            children.unwrap_or_default().split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?))
        {
            // One that has just ended needs none.
            let _ = kill_process(child, signal);
        }
    }

    /// Starts it again after it was killed, on the same port.
    pub fn start_again(&mut self) {
        self.process = run(&self.programs, self.folder.path(), self.port, self.keeping);
    }

    /// Puts its clock so far off, such as `+12s`: from its next start on, and once it runs with such a clock at once,
    /// as a jump. False where that cannot be made, for want of `faketime`.
    ///
    /// # Panics
    /// When its folder cannot be written.
    #[must_use]
    pub fn set_clock(&self, offset: &str) -> bool {
        fs::write(clock(self.folder.path()), offset).expect("a file can be written");
        faketime().is_some()
    }

    /// The port it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Runs statements as an outsider would; gives what they say, or why they failed.
    ///
    /// # Errors
    /// What psql says.
    pub fn run(&self, database_url: &str, statements: &str) -> Result<String, String> {
        let output = Command::new(self.programs.join("psql"))
            .args([database_url, "--set=ON_ERROR_STOP=1", "-Atc", statements])
            .output()
            .map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The same in a process of its own, which ends when it is dropped.
    #[must_use]
    pub fn session(&self, database_url: &str, statements: &str) -> Process {
        let program = self.programs.join("psql");
        let arguments = [database_url, "-c", statements];
        Process::start(
            "psql",
            Launch { program: &program, arguments: &arguments, env: &[] },
            self.folder.path(),
        )
    }

    /// All of a database as SQL.
    ///
    /// # Errors
    /// What pg_dump says.
    pub fn dump(&self, database_url: &str) -> Result<String, String> {
        let dump = Command::new(self.programs.join("pg_dump")).arg(database_url).output();
        let output = dump.map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The URL of a database on it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        match self.keeping {
            Keeping::Fast | Keeping::Configured => {
                format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
            }
            Keeping::Durable => {
                let socket = self.folder.path().display();
                format!("postgres://{USER}@localhost:{}/{database}?host={socket}", self.port)
            }
        }
    }

    /// Makes a database, and gives its URL.
    ///
    /// # Panics
    /// When there is one of this name.
    #[must_use]
    pub fn create(&self, database: &str) -> String {
        let mut command = Command::new(self.programs.join("createdb"));
        let output = command
            .arg("--maintenance-db")
            .arg(self.url(USER))
            .arg(database)
            .output()
            .expect("createdb runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.url(database)
    }

    /// The names of all databases, sorted.
    ///
    /// # Panics
    /// When the server does not answer.
    #[must_use]
    pub fn databases(&self) -> Vec<String> {
        let mut command = Command::new(self.programs.join("psql"));
        let query = "SELECT datname FROM pg_database ORDER BY datname";
        let output = command.args([&self.url(USER), "-Atc", query]).output().expect("psql runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }
}

fn run(programs: &Path, folder: &Path, port: u16, keeping: Keeping) -> Process {
    let mut server = match faketime().filter(|_| clock(folder).is_file()) {
        Some(library) => by_the_clock_of(&library, &clock(folder), &programs.join("postgres")),
        None => as_owner(&programs.join("postgres"), owner()),
    };
    server.current_dir(folder).arg("-D").arg(folder.join("data")).arg("-p").arg(port.to_string());
    server.args(["-c", "listen_addresses=127.0.0.1"]);
    let socket = match keeping {
        Keeping::Configured => String::new(),
        Keeping::Fast => {
            server.args(["-c", "fsync=off", "-c", "max_connections=200"]);
            String::new()
        }
        Keeping::Durable => {
            server.args(["-c", "max_connections=200"]);
            folder.display().to_string()
        }
    };
    server.arg("-c").arg(format!("unix_socket_directories={socket}"));
    let mut process = Process::spawn("postgres", server, folder);
    patience::soon("PostgreSQL accepts connections", PATIENCE, || {
        assert!(process.ended().is_none(), "PostgreSQL ended:\n{}", process.tail());
        let ready = Command::new(programs.join("pg_isready"))
            .args(["--quiet", "--host=127.0.0.1", "--port"])
            .arg(port.to_string())
            .status();
        ready.is_ok_and(|status| status.success()).then_some(())
    });
    process
}

/// The program with a clock that is as far off as the file says, into which it looks every second. Only the owner's
/// own process is told: the library makes a semaphore, which has to be the owner's.
fn by_the_clock_of(library: &Path, clock: &Path, program: &Path) -> Command {
    let mut command = as_owner(Path::new("/usr/bin/env"), owner());
    command.arg(format!("LD_PRELOAD={}", library.display()));
    command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
    command.args(["FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"]).arg(program);
    command
}

/// Where a cluster reads how far its clock is off.
fn clock(folder: &Path) -> PathBuf {
    folder.join("clock")
}

/// The folder with initdb: the newest of Debian's, or where PATH says.
fn programs() -> PathBuf {
    let version = |path: &Path| -> Option<u32> { path.file_name()?.to_str()?.parse().ok() };
    let mut debian: Vec<_> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    debian.sort_by_key(|path| version(path));
    let on_path =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let folders = debian.into_iter().rev().map(|path| path.join("bin")).chain(on_path);
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .expect("PostgreSQL is not installed: `make test` installs it, or apt-get install postgresql")
}

/// User and group to run as; `None` as oneself.
fn owner() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let entry = users.lines().find_map(|line| {
        let mut parts = line.split(':');
        let is_it = parts.next() == Some(USER);
        is_it.then(|| Some((parts.nth(1)?.parse().ok()?, parts.next()?.parse().ok()?)))?
    });
    Some(entry.expect("the package postgresql makes a user `postgres`"))
}

/// The program as that user. `setpriv` (util-linux) sets the death signal after the change of user, which
/// would clear it; without setpriv the cluster still ends with the test, unless that is killed.
fn as_owner(program: &Path, owner: Option<(u32, u32)>) -> Command {
    let setpriv = Path::new("/usr/bin/setpriv");
    if setpriv.is_file() {
        let mut command = Command::new(setpriv);
        command.arg("--pdeathsig=KILL");
        if let Some((uid, gid)) = owner {
            command.args([format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".to_owned()]);
        }
        command.arg("--").arg(program);
        return command;
    }
    let mut command = Command::new(program);
    if let Some((uid, gid)) = owner {
        command.uid(uid).gid(gid);
    }
    command
}

#[test]
fn a_cluster_comes_and_goes() {
    let cluster = Cluster::start();
    let folder = cluster.folder.path().to_owned();
    assert_eq!(cluster.create("one"), cluster.url("one"));
    assert_eq!(cluster.databases(), ["one", USER, "template0", "template1"]);
    drop(cluster);
    assert!(!folder.exists());
}
