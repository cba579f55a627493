//! A PostgreSQL cluster for tests, from the installed programs.
//!
//! It listens on a Unix socket only. A shell watches over it: when the pipe to the tests breaks, because
//! they ended or were killed, it stops the server by its process id and removes the folder.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Whom the programs run as; they refuse root.
const USER: &str = "postgres";

const PROGRAMS: [&str; 4] = ["initdb", "postgres", "pg_isready", "createdb"];

const MISSING: &str = "PostgreSQL's programs (initdb, postgres, ..) are not installed; these tests need them: \
                       sudo apt-get install postgresql";

/// Says `ready` once the server answers; then waits for the pipe to break.
const WATCH: &str = r#"
set -u
programs=$1 folder=$2
"$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off \
    -c max_connections=400 >"$folder/log" 2>&1 &
server=$!
tries=600
until "$programs/pg_isready" -q -h "$folder"; do
    tries=$((tries - 1))
    kill -0 "$server" && [ "$tries" -gt 0 ] || { cat "$folder/log" >&2; tries=0; break; }
    sleep 0.1
done
[ "$tries" -gt 0 ] && echo ready && cat >/dev/null
kill -INT "$server"
wait "$server"
rm -rf "$folder"
"#;

/// A running cluster.
#[derive(Debug)]
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    watcher: Child,
    pipe: Option<ChildStdin>,
}

impl Cluster {
    /// A new database on the cluster that all tests of this process share; gives its URL.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the line that installs it, or does not start.
    #[must_use]
    pub fn database() -> String {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        CLUSTER.get_or_init(Self::start).create(&name)
    }

    fn start() -> Self {
        let programs = programs();
        let made = run(as_user("mktemp").args(["-d", "/tmp/amends-pg-XXXXXX"]));
        let folder = PathBuf::from(text(made).trim());
        let options = ["--auth=trust", "--no-sync", "--encoding=UTF8", "--username", USER];
        let mut initdb = as_user(programs.join("initdb"));
        run(initdb.current_dir(&folder).args(options).arg("--pgdata").arg(folder.join("data")));

        // A process group of its own: Ctrl-C is for the tests, and the broken pipe tells the rest.
        let mut watch = as_user("sh");
        watch.args(["-c", WATCH, "watch"]).arg(&programs).arg(&folder).current_dir(&folder).process_group(0);
        watch.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut watcher = watch.spawn().unwrap_or_else(|error| panic!("sh: {error}"));
        let pipe = watcher.stdin.take();
        let mut line = String::new();
        if let Some(output) = watcher.stdout.take() {
            let _ = BufReader::new(output).read_line(&mut line);
        }
        assert_eq!(line, "ready\n", "PostgreSQL did not start");
        Self { programs, folder, watcher, pipe }
    }

    fn create(&self, database: &str) -> String {
        let mut createdb = Command::new(self.programs.join("createdb"));
        run(createdb.arg("-h").arg(&self.folder).args(["-U", USER, database]));
        format!("postgres:///{database}?host={}&user={USER}", self.folder.display())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.watcher.wait();
    }
}

/// Where the programs lie: on PATH, or the newest in Debian's folder.
fn programs() -> PathBuf {
    let version = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
    let mut debian: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    debian.sort_by_key(version);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(debian.into_iter().rev().map(|folder| folder.join("bin")))
        .find(|folder| PROGRAMS.iter().all(|program| folder.join(program).is_file()))
        .unwrap_or_else(|| panic!("{MISSING}"))
}

/// The program as ourselves, or as `postgres` if we are root.
fn as_user(program: impl AsRef<OsStr>) -> Command {
    if text(run(Command::new("id").arg("-u"))).trim() == "0" {
        let mut command = Command::new("runuser");
        command.args(["-u", USER, "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
