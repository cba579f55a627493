//! `amends demo`: five fates and an audit, in every way it can be run; and nothing is left of it.

use std::{
    fs,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use amends_tests::{Cluster, Launch, Process, amends, eventually};
use tempfile::TempDir;

use crate::alone;

/// A folder for temporary files, with a space in its name.
fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("amends demo test ").tempdir().expect("a temporary folder")
}

/// Files in the folder, and processes with the folder's name in their command line or environment.
fn left_over(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("the folder is there").flatten();
    let mut left: Vec<_> = files.map(|entry| entry.path().display().to_string()).collect();
    let needle = folder.display().to_string();
    for process in fs::read_dir("/proc").expect("Linux").flatten() {
        let has_it = ["cmdline", "environ"].iter().any(|file| {
            let text = fs::read(process.path().join(file)).unwrap_or_default();
            String::from_utf8_lossy(&text).contains(&needle)
        });
        if has_it {
            left.push(process.path().display().to_string());
        }
    }
    left
}

/// Runs `amends demo` to its end.
fn demo(arguments: &[&str], env: &[(&str, &str)]) -> (ExitStatus, String) {
    let folder = scratch();
    let mut command = Command::new(amends());
    command.arg("demo").args(arguments).env("TMPDIR", folder.path()).env_remove("DATABASE_URL");
    let output = command.envs(env.iter().copied()).output().expect("the binary runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(left_over(folder.path()), Vec::<String>::new(), "{text}");
    (output.status, text)
}

#[tokio::test]
async fn the_demo_succeeds_with_a_process_for_each_service() {
    let _turn = alone().await;
    let (status, text) = demo(&["--once", "--processes"], &[]);
    assert!(status.success(), "{text}");
    assert!(text.contains("payment is dead, and the money is taken"), "{text}");
}

#[tokio::test]
async fn the_demo_succeeds_on_postgresql_and_drops_its_databases() {
    let _turn = alone().await;
    let cluster = Cluster::start();
    let before = cluster.databases();
    let (status, text) = demo(&["--once"], &[("DATABASE_URL", &cluster.url("postgres"))]);
    assert!(status.success(), "{text}");
    assert!(text.contains("PostgreSQL, a database for each service"), "{text}");
    assert_eq!(cluster.databases(), before);
}

#[tokio::test]
async fn a_demo_that_is_interrupted_leaves_nothing() {
    let _turn = alone().await;
    for (arguments, moment) in [
        (&["demo"][..], "payment is started again"),
        (&["demo", "--processes"], "The shop is open"),
        (&["demo", "--processes"], "databases:"),
    ] {
        let folder = scratch();
        let logs = scratch();
        let env = [("TMPDIR".to_owned(), folder.path().display().to_string())];
        let launch = Launch { program: amends(), arguments, env: &env };
        let mut process = Process::start("demo", launch, logs.path());
        eventually(
            &format!("the demo says {moment:?}"),
            async || process.log().contains(moment).then_some(()),
            async || process.tail(),
        )
        .await;
        let status = process.terminate(Duration::from_secs(60));
        assert!(status.success(), "{moment}: {status}: {}", process.tail());
        assert_eq!(left_over(folder.path()), Vec::<String>::new(), "{moment}: {}", process.tail());
    }
}

#[tokio::test]
async fn what_the_demo_says_to_try_works() {
    let _turn = alone().await;
    let folder = scratch();
    let logs = scratch();
    let env = [("TMPDIR".to_owned(), folder.path().display().to_string())];
    let mut process =
        Process::start("demo", Launch { program: amends(), arguments: &["demo"], env: &env }, logs.path());
    eventually(
        "the demo has said what to try",
        async || process.log().contains("saga ls\n").then_some(()),
        async || process.tail(),
    )
    .await;
    let log = process.log();
    let (_, said) = log.split_once("Try an order").expect("it was just looked for");
    let commands: Vec<_> = said.lines().skip(1).collect();
    let output = Command::new("sh").args(["-e", "-c", &commands.join("\n")]).output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{commands:#?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("\"status\":\"confirmed\""), "{text}");
    assert_eq!(text.matches("\torder.v1\t").count(), 6, "five orders and this one: {text}");
    assert!(process.terminate(Duration::from_secs(60)).success());
}

#[tokio::test]
async fn a_demo_that_is_killed_leaves_no_process() {
    let _turn = alone().await;
    let folder = scratch();
    let logs = scratch();
    let env = [("TMPDIR".to_owned(), folder.path().display().to_string())];
    let launch = Launch { program: amends(), arguments: &["demo", "--processes"], env: &env };
    let mut process = Process::start("demo", launch, logs.path());
    eventually(
        "the demo has started its services",
        async || process.log().contains("1. ").then_some(()),
        async || process.tail(),
    )
    .await;
    process.kill();
    let processes =
        || left_over(folder.path()).into_iter().filter(|place| place.starts_with("/proc")).collect();
    eventually(
        "the kernel has ended the services",
        async || Some(processes()).filter(Vec::<String>::is_empty),
        async || format!("{:?}", processes()),
    )
    .await;
}
