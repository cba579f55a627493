//! The system under fault: its processes, its broker, its databases, and a supervisor that starts again
//! what ends by itself.
//!
//! Invariant: what a fault has taken down stays down until the fault ends; everything else is started
//! again at once, as every supervisor of services does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use amends_tests::{Cluster, SERVICES, System, call, faketime, older, traffic};

use crate::{
    coverage::{Coverage, Meters},
    disk::Disk,
    fault::Fault,
    link::{self, Far},
    plan::Topology,
    proxy::{Proxy, Weather},
    strike::{processes, provider},
    usage::Lives,
};

/// Who has just been started is not started again at once, however soon it ended.
const RESTARTED_AFTER: Duration = Duration::from_millis(300);
/// Who does not answer at once is dead or stands still.
const METERS_PATIENCE: Duration = Duration::from_millis(100);

/// A system to be struck.
pub(crate) struct World {
    /// Its processes.
    pub(crate) system: System,
    /// What it is on, if that can be full. Behind the processes: they are gone when it goes.
    pub(crate) disk: Option<Disk>,
    /// Its database server, if it has one.
    pub(crate) cluster: Option<Cluster>,
    /// How it is laid out.
    pub(crate) topology: Topology,
    /// Who is down on purpose.
    pub(crate) down: BTreeSet<String>,
    /// Who ended without having been struck, with the last line of its log each time.
    pub(crate) fell: BTreeMap<String, Vec<String>>,
    /// Who will die at which place.
    pub(crate) doomed: BTreeMap<String, &'static str>,
    /// How often each such place was where somebody died.
    pub(crate) died: BTreeMap<&'static str, u64>,
    /// The links, by their names: one to each server where there are several.
    pub(crate) proxies: BTreeMap<&'static str, Vec<Proxy>>,
    /// Subject and reason of each message that nobody could read.
    pub(crate) poisoned: Vec<(String, String)>,
    /// What is worth telling, and how often it was seen.
    pub(crate) notes: BTreeMap<String, u64>,
    started: BTreeMap<String, Instant>,
    /// What should not have happened.
    pub(crate) wrong: Vec<String>,
    /// An older version, which every second orchestrator is after a rolling restart.
    pub(crate) older: Option<PathBuf>,
    /// How many rolling restarts there were.
    pub(crate) rolls: usize,
    /// How often an orchestrator was started as the older version.
    pub(crate) started_older: u64,
}

impl World {
    /// Starts all of it, with weather on every link and a disk that can be full, and fills the shelves.
    pub(crate) async fn start(topology: &Topology) -> Self {
        let disk = (!topology.postgres).then(Disk::mount).flatten();
        let mut world = Self::prepared(topology, disk);
        world.connect().await;
        world.run().await;
        world
    }

    /// Starts all of it as it would run without us, and fills the shelves: there is no weather.
    pub(crate) async fn plain(topology: &Topology) -> Self {
        let mut world = Self::prepared(topology, None);
        world.run().await;
        world
    }

    fn prepared(topology: &Topology, disk: Option<Disk>) -> Self {
        let cluster = topology.postgres.then(Cluster::start);
        let parent = disk.as_ref().map_or_else(std::env::temp_dir, |disk| disk.path().to_owned());
        let mut system = match topology.three_brokers {
            true => System::prepared_on_three(cluster.as_ref(), &parent),
            false => System::prepared(cluster.as_ref(), &parent),
        };
        if !topology.default_leases {
            for (name, value) in SHORT_LEASES {
                system.set(name, value);
            }
        }
        if topology.bundles {
            system.set("AMENDS_NATS__BUNDLE_COUNT_MAX", "16");
        }
        Self {
            system,
            disk,
            cluster,
            topology: topology.clone(),
            down: BTreeSet::new(),
            fell: BTreeMap::new(),
            doomed: BTreeMap::new(),
            died: BTreeMap::new(),
            proxies: BTreeMap::new(),
            poisoned: Vec::new(),
            notes: BTreeMap::new(),
            started: BTreeMap::new(),
            wrong: Vec::new(),
            older: older(),
            rolls: 0,
            started_older: 0,
        }
    }

    async fn run(&mut self) {
        for name in self.services() {
            self.start_service(name);
        }
        for name in self.services() {
            self.system.ready(name).await;
        }
        traffic::restock(&self.system).await;
    }

    /// Puts a proxy between each service and what it talks to.
    async fn connect(&mut self) {
        for link in link::all(&self.topology) {
            let section = match link.service {
                name if name.starts_with("orchestrator") => "ORCHESTRATOR".to_owned(),
                name => name.to_uppercase(),
            };
            let name = match link.to {
                Far::Broker => "AMENDS_NATS__URL".to_owned(),
                Far::Database => format!("AMENDS_{section}__DATABASE__URL"),
                Far::Provider => "AMENDS_PAYMENT__GATEWAY__URL".to_owned(),
                Far::Mail => "AMENDS_NOTIFICATION__SMTP__URL".to_owned(),
            };
            let url = match link.to {
                Far::Broker => self.system.broker.url(),
                _ => self.system.setting(&name).to_owned(),
            };
            let mut instead = Vec::new();
            for url in url.split(',') {
                let port = port_of(url);
                let proxy = Proxy::to((Ipv4Addr::LOCALHOST, port).into()).await;
                instead.push(url.replace(&format!(":{port}"), &format!(":{}", proxy.port())));
                self.proxies.entry(link.name).or_default().push(proxy);
            }
            self.system.set_for(link.service, &name, Some(&instead.join(",")));
        }
    }

    /// Takes back whatever may have outlived its fault.
    pub(crate) async fn heal(&mut self) {
        self.proxies.values().flatten().for_each(|proxy| proxy.set(Weather::Clear));
        if let Err(error) = provider::off(self).await {
            self.notes.insert(format!("the provider's switches were not turned off at once: {error}"), 1);
        }
    }

    /// Faults that cannot be made here, each with what is missing.
    #[must_use]
    pub(crate) fn impossible() -> Vec<(Fault, &'static str)> {
        let asked = call()
            .args(["config", "show", "--json"])
            .env(processes::VARIABLE, "nowhere")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // A program without such places refuses the variable, as it refuses every one that it does not know.
        let has_points = asked.is_ok_and(|status| status.success());
        let why = |fault: Fault| match fault {
            _ if fault.crash_point().is_some() && !has_points => {
                Some("amends is built without its feature `crash-points`")
            }
            Fault::DiskFull if Disk::mount().is_none() => Some("only root may mount a small disk"),
            Fault::ClockOff if faketime().is_none() => Some("faketime is not installed"),
            _ => None,
        };
        Fault::ALL.into_iter().filter_map(|fault| Some((fault, why(fault)?))).collect()
    }

    /// All services that run in this topology.
    #[must_use]
    pub(crate) fn services(&self) -> Vec<&'static str> {
        let orchestrators = self.topology.orchestrators();
        SERVICES.into_iter().chain(orchestrators.into_iter().skip(1)).collect()
    }

    /// Starts a service.
    pub(crate) fn start_service(&mut self, name: &str) {
        self.system.start_service(name);
        self.started.insert(name.to_owned(), Instant::now());
    }

    /// How long a service has been running.
    pub(crate) fn age(&self, name: &str) -> Duration {
        self.started.get(name).map(Instant::elapsed).unwrap_or_default()
    }

    /// Whether a process runs.
    pub(crate) fn runs(&mut self, name: &str) -> bool {
        self.system.process(name).ended().is_none()
    }

    /// Starts again who has ended without having been struck.
    pub(crate) fn supervise(&mut self) {
        for name in self.services() {
            let is_young = self.age(name) < RESTARTED_AFTER;
            if is_young || self.down.contains(name) || self.system.process(name).ended().is_none() {
                continue;
            }
            if let Some(point) = self.doomed.remove(name) {
                *self.died.entry(point).or_default() += 1;
            } else {
                let tail = self.system.process(name).tail();
                let last = tail.trim_end().lines().next_back().unwrap_or_default().to_owned();
                self.fell.entry(name.to_owned()).or_default().push(last);
            }
            self.start_service(name);
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

    /// Takes a sample of each process of ours that lives. The mail catcher keeps all it catches: it is a test's.
    pub(crate) fn sample(&mut self, lives: &mut Lives) {
        for name in self.services().into_iter().filter(|name| *name != "mail-catcher") {
            let process = self.system.process(name);
            if process.ended().is_none() {
                lives.sample(name, process.pid());
            }
        }
    }

    /// Keeps what tells what happened: logs, and the databases as they are.
    pub(crate) fn keep(&mut self, folder: &Path) {
        let _ = fs::create_dir_all(folder);
        let Ok(entries) = fs::read_dir(self.system.folder()) else { return };
        for path in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
            if let Some(name) = path.file_name() {
                let _ = fs::copy(&path, folder.join(name));
            }
        }
        for server in self.system.broker.servers() {
            let _ = fs::copy(server.log(), folder.join(server.name()).with_extension("log"));
        }
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

fn port_of(url: &str) -> u16 {
    let port = url.rsplit(':').next().and_then(|rest| rest.split('/').next()?.parse().ok());
    port.expect("a URL of a test has a port")
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
