//! The system under fault: its processes, its broker, its databases, and a supervisor that starts again
//! what ends by itself.
//!
//! Invariant: what a fault has taken down stays down until the fault ends; everything else is started
//! again at once, as every supervisor of services does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use amends_tests::{Cluster, SERVICES, System, traffic};

use crate::{
    coverage::{Coverage, Meters},
    plan::Topology,
};

/// Who does not answer at once is dead or stands still.
const METERS_PATIENCE: Duration = Duration::from_millis(100);

/// A system to be struck.
pub(crate) struct World {
    /// Its processes.
    pub(crate) system: System,
    /// Its database server, if it has one.
    pub(crate) cluster: Option<Cluster>,
    /// How it is laid out.
    pub(crate) topology: Topology,
    /// Who is down on purpose.
    pub(crate) down: BTreeSet<String>,
    /// Who ended without having been struck, with the last line of its log each time.
    pub(crate) fell: BTreeMap<String, Vec<String>>,
    /// What should not have happened.
    pub(crate) wrong: Vec<String>,
}

impl World {
    /// Starts all of it, and fills the shelves.
    pub(crate) async fn start(topology: &Topology) -> Self {
        let cluster = topology.postgres.then(Cluster::start);
        let mut system = System::prepared(cluster.as_ref());
        if !topology.default_leases {
            for (name, value) in SHORT_LEASES {
                system.set(name, value);
            }
        }
        let mut world = Self {
            system,
            cluster,
            topology: topology.clone(),
            down: BTreeSet::new(),
            fell: BTreeMap::new(),
            wrong: Vec::new(),
        };
        for name in world.services() {
            world.system.start_service(name);
        }
        for name in world.services() {
            world.system.ready(name).await;
        }
        traffic::restock(&world.system).await;
        world
    }

    /// All services that run in this topology.
    #[must_use]
    pub(crate) fn services(&self) -> Vec<&'static str> {
        let orchestrators = self.topology.orchestrators();
        SERVICES.into_iter().chain(orchestrators.into_iter().skip(1)).collect()
    }

    /// Whether a process runs.
    pub(crate) fn runs(&mut self, name: &str) -> bool {
        self.system.process(name).ended().is_none()
    }

    /// Starts again who has ended without having been struck.
    pub(crate) fn supervise(&mut self) {
        for name in self.services() {
            if !self.down.contains(name) && self.system.process(name).ended().is_some() {
                let tail = self.system.process(name).tail();
                let last = tail.trim_end().lines().next_back().unwrap_or_default().to_owned();
                self.fell.entry(name.to_owned()).or_default().push(last);
                self.system.start_service(name);
            }
        }
    }

    /// Reads the counters of whoever answers.
    pub(crate) async fn read_meters(&self, meters: &mut Meters, coverage: &mut Coverage) {
        for name in self.services().into_iter().filter(|name| !matches!(*name, "provider" | "mail-catcher")) {
            let url = match name {
                name if name.starts_with("orchestrator") => self.system.admin_of(name, "/metrics"),
                name => self.system.url(name, "/metrics"),
            };
            let sending = self.system.client.send("GET", &url, &[], None);
            if let Ok(Ok(answer)) = tokio::time::timeout(METERS_PATIENCE, sending).await {
                meters.read(name, answer.body.as_str().unwrap_or_default(), coverage);
            }
        }
    }

    /// Keeps what tells what happened: logs, and the databases as they are.
    pub(crate) fn keep(&self, folder: &Path) {
        let _ = fs::create_dir_all(folder);
        let Ok(entries) = fs::read_dir(self.system.folder()) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            if let Some(name) = path.file_name() {
                let _ = fs::copy(&path, folder.join(name));
            }
        }
        let _ = fs::copy(self.system.folder().join("broker/nats-server.log"), folder.join("nats-server.log"));
        let Some(cluster) = &self.cluster else { return };
        for service in ["ORCHESTRATOR", "INVENTORY", "PAYMENT", "NOTIFICATION"] {
            let url = self.system.setting(&format!("AMENDS_{service}__DATABASE__URL"));
            let file = folder.join(format!("{}.sql", service.to_lowercase()));
            if let Ok(text) = cluster.dump(url) {
                let _ = fs::write(file, text);
            }
        }
    }
}

/// So that a pause of some seconds outlives every lease, and what was not acknowledged comes again soon.
const SHORT_LEASES: [(&str, &str); 6] = [
    ("AMENDS_NATS__ACK_WAIT_MS", "5000"),
    ("AMENDS_ORCHESTRATOR__LOOPS__CLAIM_LEASE_MS", "4000"),
    ("AMENDS_INVENTORY__PARTICIPANT__LEASE_MS", "4000"),
    ("AMENDS_PAYMENT__PARTICIPANT__LEASE_MS", "4000"),
    ("AMENDS_NOTIFICATION__PARTICIPANT__LEASE_MS", "4000"),
    ("AMENDS_NATS__STREAM_MISSING_PATIENCE_MS", "3000"),
];
