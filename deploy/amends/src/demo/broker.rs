//! The demo's broker: a nats-server of its own, or the one that `NATS_URL` names.
//!
//! Invariant: nothing stays behind. Our own server's store lies in the scratch folder; at somebody else's
//! server everything has a prefix of this run, and its streams are deleted at the end.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use amends_broker::{Broker, Stream, admin};
use anyhow::{Context, bail};
use serde::Deserialize;

use super::{child::Child, scratch::Scratch, services::Settings, stage::Stage};
use crate::nats_server::{self, OLDEST, Places, Version};

/// A server that does not listen by then will not.
const START_PATIENCE: Duration = Duration::from_secs(20);
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// Nor is one there that does not answer by then.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// What a stream may hold, in bytes: the server reserves it, and a scratch folder may be small.
const STREAM_BYTES_MAX: u64 = 64 << 20;

/// The broker of one run.
pub(crate) struct DemoBroker {
    config: amends_broker::Config,
    own: Option<Child>,
    /// Whether somebody else's server answered, so that there may be something of ours.
    reached: bool,
}

/// What nats-server writes into its ports file.
#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
}

impl DemoBroker {
    /// Somebody else's server; `run` is unique to this demo.
    pub(crate) fn at(url: String, run: &str) -> Self {
        let prefix = format!("amends-demo-{run}");
        Self {
            config: amends_broker::Config { url: url.into(), prefix, ..small() },
            own: None,
            reached: false,
        }
    }

    /// Starts a server in `scratch`.
    pub(crate) async fn start(scratch: &Scratch, stage: &Stage) -> anyhow::Result<Self> {
        let found = nats_server::find_or_install(&Places::from_env(), &|line| stage.note(line)).await?;
        let (child, url) = start_own(&found.path, scratch).await?;
        stage.note(&format!("broker: nats-server {} ({})", found.version, found.path.display()));
        Ok(Self {
            config: amends_broker::Config { url: url.into(), ..small() },
            own: Some(child),
            reached: true,
        })
    }

    /// Whether somebody else's server answers, and is new enough.
    pub(crate) async fn check(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let Self { config, own: None, reached } = self else { return Ok(()) };
        check_version(config, reached).await?;
        stage.note(&format!("broker: {}, everything under the prefix {}", config.url, config.prefix));
        Ok(())
    }

    /// Where it listens, without passwords.
    pub(crate) fn url(&self) -> String {
        self.config.url.to_string()
    }

    /// How the services reach it.
    pub(crate) fn settings(&self) -> Settings {
        let mut settings = Settings::new();
        settings.insert("nats.url".to_owned(), self.config.url.expose().to_owned());
        settings.insert("nats.prefix".to_owned(), self.config.prefix.clone());
        for stream in ["command", "reply", "event", "dead"] {
            settings.insert(format!("nats.streams.{stream}.max_bytes"), STREAM_BYTES_MAX.to_string());
        }
        settings
    }

    /// An error when our own server has ended.
    pub(crate) fn alive(&mut self) -> anyhow::Result<()> {
        self.own.as_mut().map_or(Ok(()), Child::alive)
    }

    /// Stops our own server, or removes our streams from somebody else's.
    pub(crate) async fn remove(mut self) -> anyhow::Result<()> {
        if let Some(own) = &mut self.own {
            return own.stop(STOP_PATIENCE).await.context("nats-server does not stop");
        }
        if !self.reached {
            return Ok(());
        }
        let broker = Broker::connect(&self.config, "amends-demo-cleaner").await?;
        tokio::time::timeout(STOP_PATIENCE, broker.connected()).await.with_context(|| {
            format!("the streams of {} stay behind: the broker is away", self.config.prefix)
        })?;
        for stream in Stream::ALL {
            admin::delete_stream(&broker, stream).await?;
        }
        broker.close().await;
        Ok(())
    }
}

/// The usual configuration with small streams.
fn small() -> amends_broker::Config {
    let mut config = amends_broker::Config::default();
    let streams = &mut config.streams;
    for limits in [&mut streams.command, &mut streams.reply, &mut streams.event, &mut streams.dead] {
        limits.max_bytes = STREAM_BYTES_MAX;
    }
    config
}

async fn start_own(program: &Path, scratch: &Scratch) -> anyhow::Result<(Child, String)> {
    let folder = scratch.path().join("nats-server");
    let store = folder.join("jetstream");
    fs::create_dir_all(&store)?;
    // Port -1: the server takes a free one and says in a file which.
    let mut arguments: Vec<OsString> =
        ["--addr", "127.0.0.1", "--port", "-1", "--jetstream", "--store_dir"].map(OsString::from).into();
    arguments.push(store.into());
    arguments.push("--ports_file_dir".into());
    arguments.push(folder.clone().into());
    let mut child = Child::start("nats-server", program, &arguments, &[], &scratch.logs())?;
    let started = Instant::now();
    loop {
        child.alive()?;
        if let Some(url) = read_ports(&folder) {
            return Ok((child, url));
        }
        if started.elapsed() > START_PATIENCE {
            bail!("nats-server does not say where it listens");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The URL out of `<folder>/<program>_<pid>.ports`, once it is written whole.
fn read_ports(folder: &Path) -> Option<String> {
    let mut files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let file = files.find(|path| path.extension().is_some_and(|extension| extension == "ports"))?;
    let ports: Ports = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    ports.nats.into_iter().next()
}

/// Somebody else's server may be too old as well.
async fn check_version(config: &amends_broker::Config, reached: &mut bool) -> anyhow::Result<()> {
    let broker = Broker::connect(config, "amends-demo").await.context("NATS_URL")?;
    if tokio::time::timeout(CONNECT_PATIENCE, broker.connected()).await.is_err() {
        let why = broker.health().not_ready().unwrap_or_default();
        bail!("no broker answers at NATS_URL ({}): {why}", config.url);
    }
    *reached = true;
    let health = broker.health();
    let version =
        health.server.as_deref().and_then(|server| Version::parse_number(server.rsplit(' ').next()?));
    broker.close().await;
    match version {
        Some(version) if version < OLDEST => {
            bail!("the broker at NATS_URL is version {version}, and {OLDEST} or later is needed")
        }
        _ => Ok(()),
    }
}
