//! A participant in Python, written from docs/PROTOCOL.md alone, in place of notification.

use std::path::{Path, PathBuf};

use amends_tests::{
    Dice, Launch, Process, System,
    audit::{audit, settled},
    eventually, python_packages,
    traffic::{Submission, mixed, restock},
};

use crate::alone;

const CLIENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/local/nats-py.txt");
const PARTICIPANT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/notification.py");

/// Installs the pinned client library, once for all runs, and gives its folder.
pub(crate) fn client_library() -> PathBuf {
    python_packages(Path::new(CLIENT), "nats-py").expect("PyPI can be reached")
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
