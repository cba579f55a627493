//! The floor as a process of its own, with a broker of its own: what it printed, and what the broker and the
//! database server took beside it.
//!
//! Invariant: it finds everything as the product does: the same broker, the same database server, the same disk.

use std::time::Duration;

use amends_tests::{Cluster, Launch, NatsServer, Process};
use anyhow::Context as _;

use crate::{
    load::Amount,
    measured::{Floor, Measured},
    proc,
    settings::Acks,
    world::{Database, Places},
};

/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Runs it once.
pub(crate) async fn run(
    name: &str,
    database: Database,
    acks: Acks,
    in_flight: usize,
    amount: Amount,
    places: &Places,
) -> anyhow::Result<Measured> {
    let folder = tempfile::Builder::new().prefix("amends floor ").tempdir_in(&places.data)?;
    let cluster = (database == Database::Postgres).then(Cluster::start_durable);
    let mut broker = NatsServer::start(&folder.path().join("broker"));
    let data = folder.path().join("data");
    std::fs::create_dir_all(&data)?;
    let mut arguments = vec!["floor".to_owned(), "--database".to_owned()];
    arguments.push(if database == Database::Sqlite { "sqlite" } else { "postgres" }.to_owned());
    let mut option = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
    option("--acks", if acks == Acks::Each { "each" } else { "batch" }.to_owned());
    option("--in-flight", in_flight.to_string());
    option("--sagas", amount.counted.to_string());
    option("--warm-up", amount.warm_up.to_string());
    option("--nats", broker.url());
    option("--folder", data.display().to_string());
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
    let printed: Floor = serde_json::from_str(line).context("what the floor printed")?;
    let all = amount.counted + amount.warm_up;
    let database_ms = database_pid.map(|_| after.1.saturating_sub(before.1));
    Ok(Measured::of_floor(name, printed, all, after.0.saturating_sub(before.0), database_ms))
}
