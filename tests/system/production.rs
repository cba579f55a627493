//! The production shape of deploy/production, from exactly its files: three nats-servers with users and permissions,
//! PostgreSQL with its settings, two orchestrators. The lines of its README are run as they stand there.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use amends_tests::{Client, Cluster, Launch, Process, amends, eventually, free_port};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

use crate::{alone, operators::text};

/// Another group, of whose streams there is one copy.
const SINGLE: [&str; 8] = [
    "AMENDS_NATS__PREFIX=single",
    "AMENDS_NATS__STREAMS__REPLICAS=1",
    "AMENDS_NATS__STREAMS__COMMAND__MAX_BYTES=1000000",
    "AMENDS_NATS__STREAMS__REPLY__MAX_BYTES=1000000",
    "AMENDS_NATS__STREAMS__EVENT__MAX_BYTES=1000000",
    "AMENDS_NATS__STREAMS__DEAD__MAX_BYTES=1000000",
    "AMENDS_NATS__AUTH__USER=operator",
    "AMENDS_NATS__AUTH__PASSWORD=$NATS_OPERATOR_PASSWORD",
];

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A shell with all that it has started, which ends with it.
struct Shell(Process);

impl Shell {
    fn start(name: &str, script: &str, env: &[(String, String)], logs: &Path) -> Self {
        // A group of its own, so that none of it is left behind.
        let launch = Launch { program: Path::new("setsid"), arguments: &["sh", "-eu", "-c", script], env };
        Self(Process::start(name, launch, logs))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let group =
            i32::try_from(self.0.pid()).ok().and_then(Pid::from_raw).expect("a pid is a positive i32");
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// The shape as it runs.
struct Production {
    _shell: Shell,
    folder: TempDir,
    env: Vec<(String, String)>,
    port: u16,
    _cluster: Cluster,
}

/// A block of shell in the README, by its name.
fn block(name: &str) -> String {
    let readme = fs::read_to_string(Path::new(ROOT).join("deploy/production/README.md")).expect("the README");
    let (_, rest) =
        readme.split_once(&format!("<!-- run: {name} -->\n```sh\n")).expect("a block of this name");
    rest.split_once("\n```").expect("the block ends").0.to_owned()
}

/// The first of sixty ports of which none is taken.
fn free_ports() -> u16 {
    loop {
        let first = free_port();
        if (first..first + 60).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// Puts a program on PATH that dies with the shell that starts it.
fn on_path(folder: &Path, name: &str, program: &Path) {
    let script =
        format!("#!/bin/sh\nexec '{}' leash $PPID '{}' \"$@\"\n", amends().display(), program.display());
    let path = folder.join(name);
    fs::write(&path, script).expect("a script can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it can be made a program");
}

fn nats_server() -> PathBuf {
    let output = Command::new(amends()).arg("nats-server").output().expect("the binary runs");
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim_end())
}

impl Production {
    fn start() -> Self {
        let cluster = Cluster::start_with(&Path::new(ROOT).join("deploy/production/postgresql/amends.conf"));
        let folder = tempfile::Builder::new().prefix("amends production ").tempdir().expect("a folder");
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder can be made");
        on_path(&programs, "amends", amends());
        on_path(&programs, "nats-server", &nats_server());
        on_path(&programs, "psql", &cluster.program("psql"));
        let port = free_ports();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
        let env: Vec<_> = [
            ("PATH", path),
            ("TRY", folder.path().display().to_string()),
            ("TRY_PORT", port.to_string()),
            ("PG", cluster.url("postgres")),
            ("PG_HOST", format!("127.0.0.1:{}", cluster.port())),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let script = format!("cd '{ROOT}'\n{}\necho started\nwait\n", block("start"));
        let shell = Shell::start("shell", &script, &env, folder.path());
        Self { _shell: shell, folder, env, port, _cluster: cluster }
    }

    /// Runs lines in the root of the checkout.
    fn run(&self, lines: &str) -> Output {
        let script = format!("cd '{ROOT}'\n. deploy/production/try.sh\n{lines}\n");
        let env = self.env.iter().map(|(name, value)| (name, value));
        Command::new("sh").args(["-eu", "-c", &script]).envs(env).output().expect("sh runs")
    }

    /// All logs, for whoever has to find out.
    fn logs(&self) -> String {
        let mut text = String::new();
        for entry in fs::read_dir(self.folder.path()).expect("a folder can be read").flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let log = fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                text += &format!("== {}\n", entry.path().display());
                text += &lines[lines.len().saturating_sub(15)..].join("\n");
                text.push('\n');
            }
        }
        text
    }

    /// Waits until everybody is ready.
    async fn ready(&self) {
        let client = Client::new();
        for port in [32, 33, 34, 41, 51] {
            let url = format!("http://127.0.0.1:{}/readyz", self.port + port);
            let look = async || {
                let answer = client.send("GET", &url, &[], None).await.ok()?;
                (answer.status == 200 && !format!("{answer:?}").contains("\"ok\":false")).then_some(())
            };
            eventually(&format!("{url} is ready"), look, async || self.logs()).await;
        }
    }

    /// What the doctor finds as a role.
    fn examined(&self, role: &str, more: &str) -> Vec<Value> {
        let output = self.run(&format!("as {role} amends doctor --role {role} --json {more} || true"));
        let lines = String::from_utf8_lossy(&output.stdout).into_owned();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", text(&output))))
            .collect()
    }
}

fn of_level<'f>(findings: &'f [Value], level: &str) -> Vec<&'f Value> {
    let of_the_machine = ["database-room", "memory", "open-files"];
    let wanted = |finding: &&Value| {
        finding["level"] == level && !of_the_machine.iter().any(|check| finding["check"] == *check)
    };
    findings.iter().filter(wanted).collect()
}

#[tokio::test]
async fn the_production_shape_runs_from_its_files_and_keeps_everybody_to_what_he_may() {
    let _turn = alone().await;
    let production = Production::start();
    production.ready().await;

    let placed = production.run(&block("order"));
    assert!(text(&placed).contains("\"status\":\"confirmed\""), "{}\n{}", text(&placed), production.logs());

    sound_in_the_eyes_of_each_role(&production).await;

    // Who may not do something is refused, and nothing of it is stored.
    for line in block("refused").lines() {
        let refused = production.run(line);
        assert_eq!(refused.status.code(), Some(1), "{line}\n{}", text(&refused));
        assert!(text(&refused).contains("the broker forbids it"), "{line}\n{}", text(&refused));
    }
    let stored = production.run("as orchestrator amends message ls --stream cmd --json");
    assert!(
        text(&stored).contains("reserve-stock") && !text(&stored).contains("\"bytes\":3,"),
        "{}",
        text(&stored)
    );

    // Without one of three servers orders settle, and it is said.
    let _ = production.run(&block("one-away"));
    let away = async || {
        let findings = production.examined("orchestrator", "");
        let said = of_level(&findings, "warning").iter().filter(|it| it["check"] == "stream-peers").count();
        (said == 4).then_some(findings)
    };
    let dump = async || text(&production.run("as orchestrator amends doctor --role orchestrator"));
    let findings = eventually("a server is away", away, dump).await;
    let said = of_level(&findings, "warning")[0]["found"].to_string();
    assert!(said.contains("2 of 3 copies are there") && said.contains("n3"), "{said}");
    let placed = production.run(&block("order").replace("Idempotency-Key: first", "Idempotency-Key: second"));
    assert!(text(&placed).contains("\"status\":\"confirmed\""), "{}\n{}", text(&placed), production.logs());

    one_copy_is_said(&production).await;
}

/// Permissions included.
async fn sound_in_the_eyes_of_each_role(production: &Production) {
    for role in ["orchestrator", "inventory", "payment", "notification"] {
        let sound = async || {
            let findings = production.examined(role, "");
            let troubles = ["error", "warning", "unseen"].iter().flat_map(|level| of_level(&findings, level));
            (troubles.count() == 0 && findings.len() > 5).then_some(findings)
        };
        let dump = async || text(&production.run(&format!("as {role} amends doctor --role {role}")));
        let findings = eventually(&format!("{role} is sound"), sound, dump).await;
        assert!(
            findings.iter().any(|it| it["check"] == "broker-permissions" && it["level"] == "ok"),
            "{findings:#?}"
        );
    }
    let examined = production.run(&block("doctor"));
    assert_eq!(examined.status.code(), Some(0), "{}", text(&examined));
    assert!(text(&examined).contains("AMENDS_CMD: 3 copies (R3)"), "{}", text(&examined));
}

/// Of a group of its own prefix that was configured for one server.
async fn one_copy_is_said(production: &Production) {
    let single = SINGLE.join(" ");
    let inventory = format!(
        "cd '{ROOT}'\n. deploy/production/try.sh\nas inventory env {single} amends inventory \
         --set inventory.http.listen=127.0.0.1:0 --set \"inventory.database.url=sqlite://$TRY/single.db\""
    );
    let _inventory = Shell::start("single", &inventory, &production.env, production.folder.path());
    let doctor = format!("as orchestrator env {single} amends doctor --role orchestrator --json || true");
    let one_copy = async || {
        let said = text(&production.run(&doctor));
        said.contains("SINGLE_CMD has one copy (R1) in the cluster amends").then_some(())
    };
    eventually("one copy is said", one_copy, async || text(&production.run(&doctor))).await;
}
