//! Twenty orders through the benchmark, on SQLite: all of its parts work together. And the floor on both
//! databases, with both ways to acknowledge: it ends well only if its books balance.

#![allow(clippy::expect_used, reason = "a test may stop with a word")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use amends_bench::run::{Places, laden_miniature, miniature};
use amends_tests::{Cluster, NatsServer};

#[tokio::test]
async fn twenty_orders_are_measured_and_their_books_balance() -> anyhow::Result<()> {
    let wrong = miniature(&places()).await?;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn the_floor_carries_what_the_product_does_and_its_books_balance() -> anyhow::Result<()> {
    laden_miniature(&places()).await
}

fn places() -> Places {
    Places { program: PathBuf::from(env!("CARGO_BIN_EXE_amends-bench")), data: std::env::temp_dir() }
}

#[test]
fn the_floor_has_eight_messages_and_nine_commits_a_saga_when_one_runs_at_a_time() {
    let (sqlite, cluster) = (["--database", "sqlite"], Cluster::start());
    let url = cluster.create("floor");
    let postgres = ["--database", "postgres", "--database-url", &url];
    for database in [&sqlite[..], &postgres] {
        for acks in ["each", "batch"] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let broker = NatsServer::start(folder.path());
            let report = floor(&broker, folder.path(), database, acks);
            // A start and four replies; four commands. What came before them is not counted.
            assert_eq!(report["sagas"], 12, "{acks}: {report}");
            assert_eq!(report["messages_per_saga"], 8.0, "{acks}: {report}");
            assert_eq!(report["commits"], 12 * 9, "{acks}: {report}");
        }
    }
}

/// Twelve sagas, two of which are declined, one after another, and six before them; gives what is printed.
fn floor(broker: &NatsServer, folder: &Path, database: &[&str], acks: &str) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_amends-bench"))
        .args(["floor", "--in-flight", "1", "--sagas", "12", "--warm-up", "6", "--acks", acks])
        .args(database)
        .args(["--nats", &broker.url(), "--folder"])
        .arg(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one line of JSON")
}
