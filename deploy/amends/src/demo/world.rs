//! All that a demo runs: broker, databases, mail, services; and how it is taken down again.
//!
//! Invariant: what is made is noted here before or as it is made, so that an interruption at any moment
//! finds all of it; it is removed in the reverse order, and a removal that fails does not keep the next
//! from being tried.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use amends_notification::catcher::Catcher;
use amends_server::keys::Scope;
use amends_service::{HttpConfig, http};
use anyhow::{Context, bail};
use reqwest::Method;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    broker::DemoBroker,
    child::troubles,
    databases::{Databases, OWNERS, unique_run},
    fates::STOCK,
    ports::Ports,
    scratch::Scratch,
    services::{Services, Settings},
    stage::Stage,
};
use crate::{api::Api, commands::key, role::Role};

/// A service that is not ready by then will not be.
const READY_PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How long the demo's payment service waits for the provider, in milliseconds: people watch.
const PROVIDER_TIMEOUT_MS: u64 = 1_000;

/// What a demo has made and has to remove.
pub(crate) struct World {
    pub(crate) stage: Stage,
    pub(crate) run: String,
    pub(crate) scratch: Scratch,
    databases: Option<Databases>,
    broker: Option<DemoBroker>,
    services: Option<Services>,
    mail: Option<Mail>,
}

/// The mail server and its window.
struct Mail {
    catcher: Catcher,
    url: String,
    _window: DropGuard,
}

/// The services' APIs, and where everything is.
pub(crate) struct Clients {
    pub(crate) shop: Api,
    pub(crate) admin: Api,
    pub(crate) inventory: Api,
    pub(crate) provider: Api,
    pub(crate) mail: Api,
    pub(crate) places: Places,
    /// Held as long as anybody may want to talk to them.
    _ports: Ports,
}

/// Where everything is, for people.
pub(crate) struct Places {
    pub(crate) urls: Vec<(&'static str, String)>,
    pub(crate) orders: String,
    pub(crate) admin: String,
    pub(crate) mail_catcher: String,
    pub(crate) key: String,
    pub(crate) broker: String,
    pub(crate) databases: String,
}

impl World {
    /// A world with nothing in it.
    pub(crate) fn new(stage: Stage) -> anyhow::Result<Self> {
        let (scratch, run) = (Scratch::new()?, unique_run());
        Ok(Self { stage, run, scratch, databases: None, broker: None, services: None, mail: None })
    }

    /// Starts all of it, and waits until each service can do its work.
    pub(crate) async fn start(&mut self, as_processes: bool) -> anyhow::Result<Clients> {
        let variable = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let broker = match variable("NATS_URL") {
            Some(url) => DemoBroker::at(url, &self.run),
            None => DemoBroker::start(&self.scratch, &self.stage).await?,
        };
        let broker = self.broker.insert(broker);
        broker.check(&self.stage).await?;
        let (url, broker_settings) = (broker.url(), broker.settings());

        let databases = self.databases.insert(Databases::of(variable("DATABASE_URL").as_deref(), &self.run)?);
        databases.create().await?;
        let describe = databases.describe();
        self.stage.note(&format!("databases: {describe}"));

        let ports = Ports::take()?;
        let mail = self.mail.insert(Mail::start(ports.mail).await?);
        let mail_api = Api::new(&mail.url, None)?;
        let mut settings = self.settings(&ports)?;
        settings.extend(broker_settings);

        let services = Services::new(settings, as_processes, self.scratch.logs(), self.scratch.log());
        let config = services.config()?;
        let services = self.services.insert(services);
        // Before the orchestrator has the database to itself.
        let key = key::create(&config.orchestrator, "demo", &Scope::ALL).await?;
        let key = key.reveal().to_owned();
        for role in Role::ALL {
            services.start(role)?;
        }
        self.stage.note(&format!(
            "services: {}",
            if as_processes { "a process each" } else { "in this process; payment in its own, to be killed" }
        ));
        self.ready(&ports).await?;
        let clients = self.clients(ports, key, url, describe, mail_api)?;
        for (sku, quantity) in STOCK {
            let body = json!({ "sku": sku, "quantity": quantity });
            clients.inventory.send(Method::POST, "inventory/restock", &body, None).await?;
        }
        Ok(clients)
    }

    /// The services, which run once `start` has returned.
    pub(crate) fn services(&mut self) -> anyhow::Result<&mut Services> {
        self.services.as_mut().context("the services have not been started")
    }

    /// An error when something has ended by itself.
    pub(crate) async fn alive(&mut self) -> anyhow::Result<()> {
        if let Some(broker) = &mut self.broker {
            broker.alive()?;
        }
        if let Some(services) = &mut self.services {
            services.alive().await?;
        }
        Ok(())
    }

    /// The latest warnings and errors of all logs, by file name.
    pub(crate) fn troubles(&self) -> Vec<(String, String)> {
        let logs = fs::read_dir(self.scratch.logs()).into_iter().flatten().flatten();
        let troubles =
            logs.map(|log| (log.file_name().to_string_lossy().into_owned(), troubles(&log.path())));
        troubles.filter(|(_, lines)| !lines.is_empty()).collect()
    }

    /// Ends and removes all of it; what could not be removed.
    pub(crate) async fn remove(mut self) -> Vec<anyhow::Error> {
        let mut left = Vec::new();
        if let Some(mut services) = self.services.take() {
            services.stop().await;
        }
        self.mail = None;
        if let Some(broker) = self.broker.take() {
            left.extend(broker.remove().await.err());
        }
        if let Some(databases) = self.databases.take() {
            left.extend(databases.drop_all().await.err());
        }
        left.extend(self.scratch.remove().err());
        left
    }

    fn settings(&self, ports: &Ports) -> anyhow::Result<Settings> {
        let databases = self.databases.as_ref().context("the databases have not been made")?;
        let mail = self.mail.as_ref().context("the mail server has not been started")?;
        let mut settings = Settings::new();
        let mut set = |key: &str, value: String| settings.insert(key.to_owned(), value);
        for (key, port) in [
            ("orchestrator.http.listen", ports.orchestrator),
            ("orchestrator.admin.listen", ports.admin),
            ("inventory.http.listen", ports.inventory),
            ("payment.http.listen", ports.payment),
            ("notification.http.listen", ports.notification),
            ("provider.http.listen", ports.provider),
        ] {
            set(key, format!("127.0.0.1:{port}"));
        }
        for owner in OWNERS {
            set(&format!("{owner}.database.url"), databases.url(owner, &self.scratch));
        }
        set("provider.database.url", self.scratch.sqlite_url("provider"));
        set("payment.gateway.url", format!("http://127.0.0.1:{}", ports.provider));
        set("payment.gateway.timeout_ms", PROVIDER_TIMEOUT_MS.to_string());
        set("notification.smtp.url", format!("smtp://{}", mail.catcher.smtp_addr()));
        set("orchestrator.definitions", self.scratch.definitions().display().to_string());
        Ok(settings)
    }

    fn clients(
        &self,
        ports: Ports,
        key: String,
        broker: String,
        databases: String,
        mail: Api,
    ) -> anyhow::Result<Clients> {
        let url = |port: u16| format!("http://127.0.0.1:{port}/");
        let (orders, admin) = (url(ports.orchestrator), url(ports.admin));
        let urls = vec![
            ("orders", format!("{orders}docs")),
            ("operators", format!("{admin}docs")),
            ("stock", format!("{}inventory", url(ports.inventory))),
            ("payments", format!("{}payments", url(ports.payment))),
            ("mails sent", format!("{}mails", url(ports.notification))),
            ("mails caught", format!("{}mails", url(ports.mail))),
            ("provider's books", format!("{}v1/books", url(ports.provider))),
        ];
        Ok(Clients {
            shop: Api::new(&orders, Some(key.clone()))?,
            admin: Api::new(&admin, Some(key.clone()))?,
            inventory: Api::new(&url(ports.inventory), None)?,
            provider: Api::new(&url(ports.provider), None)?,
            mail,
            places: Places { urls, orders, admin, mail_catcher: url(ports.mail), key, broker, databases },
            _ports: ports,
        })
    }

    async fn ready(&mut self, ports: &Ports) -> anyhow::Result<()> {
        let started = Instant::now();
        for (name, port, path) in [
            ("provider", ports.provider, "livez"),
            ("inventory", ports.inventory, "readyz"),
            ("payment", ports.payment, "readyz"),
            ("notification", ports.notification, "readyz"),
            ("orchestrator", ports.admin, "readyz"),
        ] {
            let api = Api::new(&format!("http://127.0.0.1:{port}/"), None)?;
            while let Err(error) = api.get(path, &[]).await {
                self.alive().await?;
                if started.elapsed() > READY_PATIENCE {
                    bail!("{name} does not get ready: {error:#}");
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        // Whoever answered might have been somebody else, in whose way ours was.
        self.alive().await
    }
}

impl Mail {
    async fn start(port: u16) -> anyhow::Result<Self> {
        let catcher =
            Catcher::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.context("no mail server")?;
        let config = HttpConfig::on_port(port);
        let listener = http::bind(&config).await?;
        let (stop, router) = (CancellationToken::new(), catcher.router());
        let url = format!("http://{}/", config.listen);
        let stopped = stop.clone();
        tokio::spawn(async move { http::serve(listener, router, &config, stopped).await });
        Ok(Self { catcher, url, _window: stop.drop_guard() })
    }
}
