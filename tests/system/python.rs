//! A participant in Python, written from docs/PROTOCOL.md alone, in place of notification.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use amends_tests::{
    Dice, Launch, Process, System,
    audit::{audit, settled},
    eventually,
    traffic::{Submission, mixed, restock},
};

use crate::alone;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/local/nats-py.txt");
const PARTICIPANT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/notification.py");

/// Installs the pinned client library, once for all runs, and gives its folder.
pub(crate) fn client_library() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .expect("HOME or XDG_CACHE_HOME")
        .join("amends");
    let requirements = std::fs::read_to_string(CLIENT).expect("the pinned requirements");
    let pinned = requirements.lines().find_map(|line| line.strip_prefix("nats-py==")?.split(' ').next());
    let folder = cache.join(format!("nats-py-{}", pinned.expect("a version")));
    if folder.join("nats").is_dir() {
        return folder;
    }
    std::fs::create_dir_all(&cache).expect("the cache can be made");
    // Whole or not at all: two at once or an abort do no harm.
    let under_way = tempfile::tempdir_in(&cache).expect("the cache can be written");
    let output = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--requirement", CLIENT, "--target"])
        .arg(under_way.path())
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let renamed = std::fs::rename(under_way.path(), &folder);
    assert!(renamed.is_ok() || folder.join("nats").is_dir(), "{renamed:?}");
    folder
}

fn start(system: &System) -> Process {
    let env = [
        ("PYTHONPATH", client_library().display().to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("NATS_URL", system.broker.url()),
        ("SMTP", system.setting("MAIL_CATCHER_SMTP").to_owned()),
        ("DATABASE", system.folder().join("python.db").display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let launch = Launch { program: Path::new("python3"), arguments: &[PARTICIPANT], env: &env };
    Process::start("python-notification", launch, system.folder())
}

#[tokio::test]
async fn a_participant_in_python_takes_part() {
    let _turn = alone().await;
    let mut system = System::start_without(None, &["notification"]).await;
    restock(&system).await;
    let mut python = start(&system);
    let submission = Submission::start(&system, mixed(60, &mut Dice::new("python")));
    eventually(
        "half of the orders are accepted",
        async || (submission.accepted() >= 30).then_some(()),
        async || python.tail(),
    )
    .await;
    // The broker forgets everything, and the participant is stopped in an orderly way and comes back.
    system.broker.kill_and_wipe();
    system.broker.start_again();
    drop(python);
    python = start(&system);
    let orders = submission.all().await;
    settled(&system, &orders).await;
    audit(&system, &orders).await;
    assert!(python.ended().is_none(), "{}", python.tail());
}
