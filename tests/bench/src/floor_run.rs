//! The floor as a process of its own, with a broker of its own: what it printed, and what the broker and the
//! database server took beside it.
//!
//! Invariant: it finds everything as the product does: the same broker, the same database server, the same disk.

use std::{path::Path, time::Duration};

use amends_tests::{Cluster, Launch, NatsServer, Process, call};
use anyhow::Context as _;

use crate::{
    measured::{Measured, Printed},
    proc,
    settings::{Floor, Laden, word},
    world::{Database, Places},
};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Runs it once.
pub(crate) async fn run(of: &Floor, places: &Places) -> anyhow::Result<Measured> {
    let Floor { database, acks, laden, in_flight, amount } = *of;
    let folder = tempfile::Builder::new().prefix("amends floor ").tempdir_in(&places.data)?;
    let cluster = (database == Database::Postgres).then(Cluster::start_durable);
    let mut broker = NatsServer::start(&folder.path().join("broker"));
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    let mut arguments = vec!["floor".to_owned(), "--database".to_owned()];
    arguments.push(word(database));
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("--acks", word(acks));
    option("--laden", word(laden));
    option("--in-flight", in_flight.to_string());
    option("--sagas", amount.counted.to_string());
    option("--warm-up", amount.warm_up.to_string());
    option("--nats", broker.url());
    option("--folder", data.display().to_string());
    if laden == Laden::Rows {
        let tables = folder.path().join("tables.sqlite");
        migrate(&tables)?;
        option("--tables", tables.display().to_string());
    }
    if let Some(cluster) = &cluster {
        option("--database-url", cluster.create("floor"));
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let launch = Launch { program: &places.program, arguments: &arguments, env: &[] };
    let broker_pid = broker.process().pid();
    let mut cluster = cluster;
    let database_pid = cluster.as_mut().map(|cluster| cluster.process().pid());
    let taken = || (proc::cpu_ms(broker_pid, false), database_pid.map_or(0, |pid| proc::cpu_ms(pid, true)));
    let before = taken();
    let mut floor = Process::start("floor", launch, folder.path());
    let status = loop {
        if let Some(status) = floor.ended() {
            break status;
        }
        tokio::time::sleep(LOOK).await;
    };
    let after = taken();
    anyhow::ensure!(status.success(), "the floor has failed:\n{}", floor.tail());
    let log = floor.log();
    let line = log.lines().rev().find(|line| line.starts_with('{')).context("the floor printed nothing")?;
    let printed: Printed = serde_json::from_str(line).context("what the floor printed")?;
    let all = amount.counted + amount.warm_up;
    let database_ms = database_pid.map(|_| after.1.saturating_sub(before.1));
    Ok(Measured::of_floor(&of.name(), printed, all, after.0.saturating_sub(before.0), database_ms))
}

/// Makes a SQLite file with the product's tables.
fn migrate(file: &Path) -> anyhow::Result<()> {
    let url = format!("orchestrator.database.url=sqlite://{}", file.display());
    let output = call().args(["migrate", "orchestrator", "--set", &url]).output()?;
    anyhow::ensure!(output.status.success(), "no tables: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
