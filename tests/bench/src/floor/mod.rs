//! The floor: the smallest honest pipeline for a saga of four steps.
//!
//! One process; the orchestrator and three participants each on a thread with a runtime and a database of
//! their own. It keeps what the product promises of a single message (committed before it is published,
//! published before it is acknowledged, each effect once, all of it on the disk) and nothing else.
//!
//! Invariant: it stands on nothing of the product, and is never made slower to look better. What it is laden with, if
//! somebody asks for that, is a measurement of its own.

mod books;
mod laden;
mod meter;
mod orchestrator;
mod participant;
mod pipe;
mod postgres;
mod saga;
mod sqlite;
mod store;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context;
use async_nats::jetstream::{self, consumer, stream};
use clap::{Args, ValueEnum};
use serde::Serialize;
use tokio::{runtime, sync::watch, task};

use self::{
    books::Expected,
    laden::Laden,
    meter::{Counters, Meter},
    orchestrator::Orchestrator,
    pipe::{Sink, Source},
    saga::Participant,
    store::Store,
};

/// What the floor keeps its rows in.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// How messages are acknowledged to the broker.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// Each by itself, as the product does.
    Each,
    /// The last of a batch for all before it.
    Batch,
}

/// One run.
#[derive(Args, Clone)]
pub(crate) struct Arguments {
    /// What it keeps its rows in.
    #[arg(long, value_enum)]
    pub(crate) database: Database,
    /// How messages are acknowledged.
    #[arg(long, value_enum)]
    pub(crate) acks: Acks,
    /// Sagas that run at once: as one settles, the next one starts.
    #[arg(long, default_value_t = 500)]
    pub(crate) in_flight: usize,
    /// Sagas that are counted.
    #[arg(long)]
    pub(crate) sagas: usize,
    /// Sagas that run first and are not counted.
    #[arg(long, default_value_t = 0)]
    pub(crate) warm_up: usize,
    /// The broker, with nothing of an earlier run in its streams.
    #[arg(long)]
    pub(crate) nats: String,
    /// A PostgreSQL database of its own, over a Unix socket: `postgres:///NAME?host=/FOLDER&user=..`.
    #[arg(long, required_if_eq("database", "postgres"))]
    pub(crate) database_url: Option<String>,
    /// What it carries besides its own, of what the product does.
    #[arg(long, value_enum, default_value = "nothing")]
    pub(crate) laden: Laden,
    /// A SQLite file with the product's tables (`amends migrate orchestrator`), for its rows.
    #[arg(long, required_if_eq("laden", "rows"))]
    pub(crate) tables: Option<PathBuf>,
    /// An empty folder for the SQLite files.
    #[arg(long)]
    pub(crate) folder: PathBuf,
}

/// What came of it.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) sagas: usize,
    pub(crate) seconds: f64,
    pub(crate) per_second: f64,
    /// User and system, of this process; the broker and PostgreSQL have theirs.
    pub(crate) cpu_ms_per_saga: f64,
    /// Of it, by component, with the thread that writes its database.
    pub(crate) cpu_ms_per_saga_by_component: BTreeMap<String, f64>,
    /// From the start of a saga to the commit that settles it.
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) messages_per_saga: f64,
    /// Of all four databases.
    pub(crate) commits: u64,
    pub(crate) peak_rss_kib: u64,
}

const STREAMS: [(&str, &str); 3] =
    [("FLOOR_CMD", "floor.cmd.>"), ("FLOOR_REPLY", "floor.reply.>"), ("FLOOR_EVENT", "floor.event.>")];
/// Stream, durable and filter of each component.
const CONSUMERS: [(&str, &str, &str); 4] = [
    ("FLOOR_REPLY", ORCHESTRATOR, participant::REPLIES),
    ("FLOOR_CMD", Participant::Inventory.name(), "floor.cmd.inventory.*"),
    ("FLOOR_CMD", Participant::Payment.name(), "floor.cmd.payment.*"),
    ("FLOOR_CMD", Participant::Notification.name(), "floor.cmd.notification.*"),
];
const ORCHESTRATOR: &str = "orchestrator";

/// What a component has come to: the orchestrator brings the figures.
type Outcome = anyhow::Result<Option<(Vec<Duration>, Meter)>>;
/// Where components say how they ended; the first failure ends the run.
type Failures = mpsc::Sender<Outcome>;

/// What all components share.
struct Setup {
    arguments: Arguments,
    expected: Expected,
    counters: Counters,
    /// All have their database and their subscriptions.
    ready: Barrier,
}

/// Runs it to its end and looks through its books.
///
/// What it leaves out is what the product has above it: nothing is sent again and no timer runs; after a
/// crash nobody goes on, for running sagas are read from memory alone; an order comes from this process,
/// not over HTTP; the definition is code, without expressions, retries, deadlines, signals or operators;
/// messages are no CloudEvents, carry no trace, no id for the broker's duplicate window, and are not
/// validated; undos do not ask for their action, there are no tombstones or fences; no events, logs or
/// metrics; a poisoned message or a broker that is down ends the run.
///
/// # Errors
/// When the broker or a database fails, or the books do not balance.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<Report> {
    anyhow::ensure!(
        arguments.laden < Laden::Rows || arguments.database == Database::Sqlite,
        "the product's rows are carried on SQLite only: take --database sqlite, or --laden events"
    );
    let setup = Arc::new(Setup {
        arguments: arguments.clone(),
        expected: Expected::of(arguments.warm_up + arguments.sagas),
        counters: Counters::default(),
        ready: Barrier::new(CONSUMERS.len()),
    });
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let client = runtime.block_on(prepare(arguments))?;
    let (stop, stopped) = watch::channel(false);
    let (ended, endings) = mpsc::channel();
    for component in [None].into_iter().chain(Participant::ALL.map(Some)) {
        let (setup, stopped, ended) = (Arc::clone(&setup), stopped.clone(), ended.clone());
        let life = move || {
            let outcome = runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(anyhow::Error::from)
                .and_then(|runtime| runtime.block_on(live(component, &setup, stopped, ended.clone())));
            ended.send(outcome).ok();
        };
        thread::Builder::new().name(name(component).to_owned()).spawn(life)?;
    }
    let mut report = None;
    for _ in CONSUMERS {
        if let Some((latencies, meter)) = endings.recv()?? {
            report = Some(Report::of(latencies, &meter)?);
            stop.send(true).ok();
        }
    }
    runtime.block_on(books::broker(&client, setup.expected, arguments.laden))?;
    report.context("the orchestrator has ended without figures")
}

const fn name(component: Option<Participant>) -> &'static str {
    match component {
        None => ORCHESTRATOR,
        Some(participant) => participant.name(),
    }
}

/// The life of one component, from its first connection to its books.
async fn live(
    component: Option<Participant>,
    setup: &Setup,
    stop: watch::Receiver<bool>,
    failures: Failures,
) -> Outcome {
    let (arguments, name) = (&setup.arguments, name(component));
    let client = pipe::connect(&arguments.nats).await?;
    let mut store = Store::open(name, arguments).await?;
    let stream = if component.is_none() { STREAMS[1].0 } else { STREAMS[0].0 };
    let source = Source::open(&client, stream, name).await?;
    let sink = Sink::open(&client, arguments.acks, failures).await?;
    setup.ready.wait();
    // A batch is as large as what has come, not as what tokio allows a task at a time.
    match component {
        None => {
            let running = Orchestrator::new(arguments, &mut store).run(setup, source, sink);
            let (latencies, meter) = task::unconstrained(running).await?;
            books::orchestrator(&mut store, setup.expected, arguments.laden).await?;
            Ok(Some((latencies, meter)))
        }
        Some(participant) => {
            let running = participant::run(participant, setup, &mut store, source, sink, stop);
            task::unconstrained(running).await?;
            books::participant(participant, &mut store, setup.expected).await?;
            Ok(None)
        }
    }
}

/// Empty streams like the product's, and a consumer for each component.
async fn prepare(arguments: &Arguments) -> anyhow::Result<async_nats::Client> {
    let client = pipe::connect(&arguments.nats).await?;
    let context = jetstream::new(client.clone());
    for (name, subjects) in STREAMS {
        context.delete_stream(name).await.ok();
        let stream = stream::Config {
            name: name.to_owned(),
            subjects: vec![subjects.to_owned()],
            retention: stream::RetentionPolicy::Limits,
            storage: stream::StorageType::File,
            num_replicas: 1,
            max_age: Duration::from_secs(72 * 3_600),
            duplicate_window: Duration::from_secs(120),
            ..stream::Config::default()
        };
        context.create_stream(stream).await.with_context(|| format!("the stream {name}"))?;
    }
    for (stream, name, filter) in CONSUMERS {
        let consumer = consumer::pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: filter.to_owned(),
            ack_policy: match arguments.acks {
                Acks::Each => consumer::AckPolicy::Explicit,
                Acks::Batch => consumer::AckPolicy::All,
            },
            ack_wait: Duration::from_secs(60),
            max_ack_pending: 4 * i64::try_from(arguments.in_flight.max(1_000))?,
            ..consumer::pull::Config::default()
        };
        let made = context.create_consumer_on_stream(consumer, stream).await;
        made.with_context(|| format!("the consumer {name}"))?;
    }
    Ok(client)
}

impl Report {
    fn of(mut latencies: Vec<Duration>, meter: &Meter) -> anyhow::Result<Self> {
        latencies.sort_unstable();
        let (sagas, seconds) = (latencies.len(), meter.elapsed.as_secs_f64());
        let quantile_ms = |percent: usize| {
            let at = (sagas * percent / 100).min(sagas.saturating_sub(1));
            latencies.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        let ms = |time: Duration| time.as_secs_f64() * 1e3 / sagas as f64;
        Ok(Self {
            sagas,
            seconds,
            per_second: sagas as f64 / seconds,
            cpu_ms_per_saga: ms(meter.cpu.values().sum()),
            cpu_ms_per_saga_by_component: meter
                .cpu
                .iter()
                .map(|(name, time)| (name.clone(), ms(*time)))
                .collect(),
            p50_ms: quantile_ms(50),
            p95_ms: quantile_ms(95),
            p99_ms: quantile_ms(99),
            messages_per_saga: meter.messages as f64 / sagas as f64,
            commits: meter.commits,
            peak_rss_kib: meter::peak_rss_kib()?,
        })
    }
}
