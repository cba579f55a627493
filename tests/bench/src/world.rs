//! What is measured: a broker, a database server if there is to be one, and the services as processes of their own.
//!
//! Two worlds: `books`, whose participants do what the floor's do, and `shop`, the product's own services with a
//! payment provider and a mail server outside.
//!
//! Invariant: the services run with their default settings; what deviates is in [`DEVIATIONS`] and printed.

use std::path::{Path, PathBuf};

use amends_broker::Broker;
use amends_contract::{Stream, Timestamp};
use amends_tests::{Cluster, REPLICAS, SERVICES, System, eventually};
use serde::Serialize;
use serde_json::json;

use crate::{
    door::{Address, Door, Rest, Subject},
    meters::{Part, Watched},
    orders::{Orders, SKUS},
    participant::Who,
};

/// What the services are told otherwise than their defaults say.
pub(crate) const DEVIATIONS: [(&str, &str); 1] = [("AMENDS_LOG__FILTER", "warn")];

/// Counters of commits.
const COMMITS_OF_ORCHESTRATOR: &str = "amends_commits_total";
const COMMITS_OF_PARTICIPANT: &str = "amends_participant_batch_commands_count";
/// Fewer connections than the 900 that a listener takes, and more.
const CONNECTIONS: usize = 800;
const TOO_MANY_CONNECTIONS: usize = 1_400;
/// More of each SKU than is ever sold.
const STOCK: u64 = 1_000_000_000;

/// Whose participants there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The benchmark's own: a row for each command, and nothing else.
    Books,
    /// The product's.
    Shop,
}

/// Which databases there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Which way orders come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    Subject,
    Rest,
}

/// How a world is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Layout {
    pub(crate) kind: Kind,
    pub(crate) database: Database,
    pub(crate) orchestrators: usize,
    /// Each stream has a copy on each of so many nats-servers: one, or the three of a cluster.
    pub(crate) copies: usize,
    /// Most commands or replies that travel as one message.
    pub(crate) bundle: usize,
}

impl Layout {
    /// The benchmark's own participants, and as much else as there is by default.
    pub(crate) const fn books(database: Database) -> Self {
        Self { kind: Kind::Books, database, orchestrators: 1, copies: 1, bundle: 1 }
    }

    /// The same with the product's participants.
    pub(crate) const fn shop(database: Database) -> Self {
        Self { kind: Kind::Shop, ..Self::books(database) }
    }
}

/// Where programs and data are.
#[derive(Clone, Debug)]
pub struct Places {
    /// The program `amends-bench`, which is the participants, too.
    pub program: PathBuf,
    /// The folder in which every run has its own.
    pub data: PathBuf,
}

/// A running world.
pub(crate) struct World {
    // Fields drop in this order: services before their database server.
    pub(crate) system: System,
    pub(crate) layout: Layout,
    pub(crate) broker: Broker,
    pub(crate) cluster: Option<Cluster>,
    /// No saga of this world is older, but for those that were loaded into it.
    pub(crate) since: Timestamp,
    program: PathBuf,
}

impl World {
    /// Starts all of it, and waits until it is ready.
    pub(crate) async fn start(layout: Layout, places: &Places) -> anyhow::Result<Self> {
        let mut world = Self::prepare(layout, places).await?;
        world.start_services().await;
        Ok(world)
    }

    /// A world in which only the broker and the database server run.
    pub(crate) async fn prepare(layout: Layout, places: &Places) -> anyhow::Result<Self> {
        let cluster = (layout.database == Database::Postgres).then(Cluster::start_durable);
        let mut system = match layout.copies {
            1 => System::prepared(cluster.as_ref(), &places.data),
            _ => System::prepared_on_three(cluster.as_ref(), &places.data),
        };
        for (name, value) in DEVIATIONS {
            system.set(name, value);
        }
        if layout.bundle > 1 {
            system.set("AMENDS_NATS__BUNDLE_COUNT_MAX", &layout.bundle.to_string());
        }
        // What the tests shorten is as it is by default.
        system.unset("AMENDS_PAYMENT__GATEWAY__TIMEOUT_MS");
        let config = amends_broker::Config {
            url: system.broker.url().as_str().into(),
            ..amends_broker::Config::default()
        };
        let broker = Broker::observe(&config, "amends-bench").await?;
        broker.connected().await;
        Ok(Self { system, layout, broker, cluster, since: now(), program: places.program.clone() })
    }

    /// Starts everything that is not there yet, and fills the shelves of a shop.
    pub(crate) async fn start_services(&mut self) {
        let services = self.services();
        for name in &services {
            self.start_service(name);
        }
        for name in &services {
            self.system.ready(name).await;
        }
        self.streams_are_there().await;
        if self.layout.kind == Kind::Shop {
            for index in 0..SKUS {
                self.system.restock(&Orders::sku(index), STOCK).await;
            }
        }
    }

    /// Services are ready without them: in a cluster they are made some seconds later, and what is sent before that is
    /// sent again later still.
    async fn streams_are_there(&self) {
        let names = Stream::ALL.map(|stream| self.broker.names().stream(stream));
        let is_there = |name: &String| {
            let info = self.system.broker.ask(&format!("STREAM.INFO.{name}"), &json!({}));
            info.is_some_and(|info| info["state"].is_object())
        };
        let all = async || names.iter().all(is_there).then_some(());
        eventually("the streams are there", all, async || self.system.dump().await).await;
    }

    /// What is there already does not count.
    pub(crate) fn now_it_begins(&mut self) {
        self.since = now();
    }

    /// Starts one service.
    pub(crate) fn start_service(&mut self, name: &str) {
        let who = Who::ALL.into_iter().find(|who| who.name() == name);
        let (Some(who), Kind::Books) = (who, self.layout.kind) else {
            return self.system.start_service(name);
        };
        let section = who.name().to_uppercase();
        let database = self.system.setting(&format!("AMENDS_{section}__DATABASE__URL")).to_owned();
        let listen = self.system.setting(&format!("AMENDS_{section}__HTTP__LISTEN")).to_owned();
        let (broker, log) = (self.system.broker.url(), self.system.setting("AMENDS_LOG__FILTER").to_owned());
        let (bundle, copies) = (self.layout.bundle.to_string(), self.layout.copies.to_string());
        let options = [
            ("--nats", &broker),
            ("--database-url", &database),
            ("--listen", &listen),
            ("--log", &log),
            ("--bundle", &bundle),
            ("--copies", &copies),
        ];
        let options = options.iter().flat_map(|(name, value)| [*name, value.as_str()]);
        let arguments: Vec<_> = ["participant", who.name()].into_iter().chain(options).collect();
        self.system.start_program(name, &self.program, &arguments);
    }

    /// Everything that runs here.
    pub(crate) fn services(&self) -> Vec<&'static str> {
        let of_shop = |name: &&str| self.layout.kind == Kind::Shop || !is_outside(name);
        SERVICES.into_iter().filter(of_shop).chain(self.replicas()).collect()
    }

    pub(crate) fn orchestrators(&self) -> Vec<&'static str> {
        ["orchestrator"].into_iter().chain(self.replicas()).collect()
    }

    fn replicas(&self) -> impl Iterator<Item = &'static str> + use<> {
        REPLICAS.into_iter().take(self.layout.orchestrators.saturating_sub(1))
    }

    /// Where orders are placed; without waiting for the end if `waits` says so (REST only).
    pub(crate) async fn door(&self, way: Way, waits: bool) -> anyhow::Result<Door> {
        Ok(match way {
            Way::Subject => Door::Subject(Subject::connect(&self.system.broker.url()).await?),
            Way::Rest => {
                let listener = |name| self.system.url(name, "").trim_start_matches("http://").parse();
                let listeners = self.orchestrators().into_iter().map(listener);
                Door::Rest(Rest::new(Address {
                    listeners: listeners.collect::<Result<_, _>>()?,
                    authorization: self.system.authorization(),
                    prefer: waits.then(Orders::prefer),
                    connections_max: if waits { CONNECTIONS } else { TOO_MANY_CONNECTIONS },
                }))
            }
        })
    }

    /// Every process, and ourselves.
    pub(crate) fn watched(&mut self) -> Vec<Watched> {
        let mut watched = Vec::new();
        for name in self.services() {
            let part = match name {
                name if name.starts_with("orchestrator") => Part::Orchestrator,
                name if is_outside(name) => Part::Outside,
                _ => Part::Participant,
            };
            let commits = match part {
                Part::Orchestrator => Some((self.system.admin_of(name, "/metrics"), COMMITS_OF_ORCHESTRATOR)),
                Part::Participant => Some((self.system.url(name, "/metrics"), COMMITS_OF_PARTICIPANT)),
                _ => None,
            };
            let pid = self.system.process(name).pid();
            watched.push(Watched { name: name.to_owned(), part, pid, commits });
        }
        let alone = |name: &str, part, pid| Watched { name: name.to_owned(), part, pid, commits: None };
        for server in self.system.broker.servers() {
            let pid = server.process().pid();
            watched.push(alone(server.name(), Part::Broker, pid));
        }
        if let Some(cluster) = &mut self.cluster {
            watched.push(alone("postgres", Part::Database, cluster.process().pid()));
        }
        watched.push(alone("load", Part::Load, std::process::id()));
        watched
    }

    /// URL of the database of a service.
    pub(crate) fn database_url(&self, owner: &str) -> &str {
        self.system.setting(&format!("AMENDS_{}__DATABASE__URL", owner.to_uppercase()))
    }
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn is_outside(name: &str) -> bool {
    matches!(name, "provider" | "mail-catcher")
}

/// The kind of file system that a folder is on, as /proc/mounts says.
pub(crate) fn file_system(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let over = mounts.filter(|(at, _)| folder.starts_with(at)).max_by_key(|(at, _)| at.len());
    over.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
}
