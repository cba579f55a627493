//! The whole thing as processes: broker, provider, mail catcher, the four services; each can be killed.
//!
//! Invariant: a service gets the same configuration after it was killed as before, port included.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    Broker, Client, Cluster, Definitions, Door, Process, amends, call, definitions::shipped, eventually,
    free_port, process::Launch,
};

/// Everything that is a process of the one binary, in the order in which it is started.
pub const SERVICES: [&str; 6] =
    ["mail-catcher", "provider", "inventory", "payment", "notification", "orchestrator"];

/// Further orchestrators beside the first, which share a database on PostgreSQL. None runs unless it is
/// started.
pub const REPLICAS: [&str; 2] = ["orchestrator-2", "orchestrator-3"];

/// The mail server's books are complete as long as it forgets nothing: more than any run sends.
const MAILS_KEPT: &str = "1000000";

/// A running system.
pub struct System {
    // Fields drop in this order: processes before the folder that they write to.
    processes: BTreeMap<&'static str, Process>,
    /// Its broker.
    pub broker: Broker,
    env: Vec<(String, String)>,
    /// What one service is told otherwise than the rest.
    own: BTreeMap<&'static str, BTreeMap<String, String>>,
    /// Who runs another version than the one under test.
    versions: BTreeMap<&'static str, PathBuf>,
    ports: BTreeMap<&'static str, u16>,
    admin_ports: BTreeMap<&'static str, u16>,
    folder: TempDir,
    /// Kept for its restarts.
    definitions: Option<Definitions>,
    /// Who calls its APIs.
    pub client: Client,
    key: String,
}

impl System {
    /// Starts all of it, on SQLite or with databases on `cluster`.
    pub async fn start(cluster: Option<&Cluster>) -> Self {
        Self::start_without(cluster, &[]).await
    }

    /// A system of which only the broker runs, in a folder of `parent`, to be arranged before its services are
    /// started.
    #[must_use]
    pub fn prepared(cluster: Option<&Cluster>, parent: &Path) -> Self {
        Self::prepare_in(parent, cluster, shipped(), Broker::single)
    }

    /// The same on a broker of three servers, with three copies of each stream.
    #[must_use]
    pub fn prepared_on_three(cluster: Option<&Cluster>, parent: &Path) -> Self {
        let mut system = Self::prepare_in(parent, cluster, shipped(), Broker::cluster);
        system.set("AMENDS_NATS__STREAMS__REPLICAS", "3");
        system
    }

    /// Starts all of it on SQLite, and on a broker of three servers.
    pub async fn start_on_three() -> Self {
        Self::prepared_on_three(None, &std::env::temp_dir()).started(&[]).await
    }

    /// Starts all of it with definitions of the test's own.
    pub async fn start_on(definitions: &Definitions, cluster: Option<&Cluster>) -> Self {
        let mut system = Self::prepare(cluster, definitions.path().to_owned());
        system.definitions = Some(definitions.clone());
        system.started(&[]).await
    }

    /// Starts all but some.
    ///
    /// # Panics
    /// When one of them does not get ready.
    pub async fn start_without(cluster: Option<&Cluster>, absent: &[&str]) -> Self {
        Self::prepare(cluster, shipped()).started(absent).await
    }

    /// Starts all of it on SQLite, with settings that are not the usual ones.
    pub async fn start_with(settings: &[(&str, &str)]) -> Self {
        let mut system = Self::prepare(None, shipped());
        for (name, value) in settings {
            system.set(name, value);
        }
        system.started(&[]).await
    }

    async fn started(mut self, absent: &[&str]) -> Self {
        for name in SERVICES.into_iter().filter(|name| !absent.contains(name)) {
            self.start_service(name);
        }
        for name in SERVICES.into_iter().filter(|name| !absent.contains(name)) {
            self.ready(name).await;
        }
        self
    }

    fn prepare(cluster: Option<&Cluster>, definitions: PathBuf) -> Self {
        Self::prepare_in(&std::env::temp_dir(), cluster, definitions, Broker::single)
    }

    fn prepare_in(
        parent: &Path,
        cluster: Option<&Cluster>,
        definitions: PathBuf,
        start_broker: fn(&Path) -> Broker,
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("amends system ").tempdir_in(parent);
        let folder = folder.expect("a temporary folder");
        let broker = start_broker(&folder.path().join("broker"));
        let ports: BTreeMap<_, _> = all_names().map(|name| (name, free_port())).collect();
        let admin_ports: BTreeMap<_, _> =
            all_names().filter(|name| is_orchestrator(name)).map(|name| (name, free_port())).collect();
        let smtp_port = free_port();
        let run = folder.path().file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let run: String = run.chars().filter(char::is_ascii_alphanumeric).collect();
        let database = |owner: &str| match cluster {
            Some(cluster) => cluster.create(&format!("{run}_{owner}").to_lowercase()),
            None => format!("sqlite://{}", folder.path().join(owner).with_extension("db").display()),
        };
        let local = |port: u16| format!("127.0.0.1:{port}");
        let mut env = vec![
            ("AMENDS_NATS__URL", broker.url()),
            (
                "AMENDS_LOG__FILTER",
                "info,async_nats=warn,sqlx=warn,sea_orm=warn,sea_orm_migration=warn".to_owned(),
            ),
            ("AMENDS_ORCHESTRATOR__HTTP__LISTEN", local(ports["orchestrator"])),
            ("AMENDS_ORCHESTRATOR__ADMIN__LISTEN", local(admin_ports["orchestrator"])),
            ("AMENDS_ORCHESTRATOR__DATABASE__URL", database("orchestrator")),
            ("AMENDS_ORCHESTRATOR__DEFINITIONS", definitions.display().to_string()),
            ("AMENDS_PAYMENT__GATEWAY__URL", format!("http://{}", local(ports["provider"]))),
            ("AMENDS_PAYMENT__GATEWAY__TIMEOUT_MS", "1000".to_owned()),
            ("AMENDS_NOTIFICATION__SMTP__URL", format!("smtp://{}", local(smtp_port))),
            (
                "AMENDS_PROVIDER__DATABASE__URL",
                format!("sqlite://{}", folder.path().join("provider.db").display()),
            ),
        ];
        let owned =
            |owner| [format!("AMENDS_{owner}__HTTP__LISTEN"), format!("AMENDS_{owner}__DATABASE__URL")];
        let keys = ["inventory", "payment", "notification", "provider"]
            .map(|name| (name, owned(name.to_uppercase())));
        for (name, [listen, url]) in &keys {
            env.push((listen, local(ports[name])));
            if *name != "provider" {
                env.push((url, database(name)));
            }
        }
        env.push(("MAIL_CATCHER_SMTP", local(smtp_port)));
        let env: Vec<_> = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let own = REPLICAS.map(|name| {
            let listen = |door: &str| format!("AMENDS_ORCHESTRATOR__{door}__LISTEN");
            let own = [(listen("HTTP"), local(ports[name])), (listen("ADMIN"), local(admin_ports[name]))];
            (name, own.into())
        });
        let key = make_key(&env, "order,operate,admin");
        Self {
            processes: BTreeMap::new(),
            broker,
            env,
            own: own.into(),
            versions: BTreeMap::new(),
            ports,
            admin_ports,
            folder,
            definitions: None,
            client: Client::new(),
            key,
        }
    }

    /// Starts one service.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn start_service(&mut self, name: &str) {
        let name = known(name);
        let listen = format!("127.0.0.1:{}", self.ports[name]);
        let smtp = self.setting("MAIL_CATCHER_SMTP").to_owned();
        let arguments = match name {
            "mail-catcher" => vec![name, "--smtp", &smtp, "--http", &listen, "--keep", MAILS_KEPT],
            _ if is_orchestrator(name) => vec!["orchestrator"],
            _ => vec![name],
        };
        let env = self.env_of(name);
        let other = self.versions.get(name).cloned();
        let program = other.as_deref().unwrap_or_else(|| amends());
        let launch = Launch { program, arguments: &arguments, env: &env };
        self.processes.insert(name, Process::start(name, launch, self.folder.path()));
    }

    /// Starts another program in a service's place: it listens where that one would.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn start_program(&mut self, name: &str, program: &Path, arguments: &[&str]) {
        let name = known(name);
        let launch = Launch { program, arguments, env: &[] };
        self.processes.insert(name, Process::start(name, launch, self.folder.path()));
    }

    /// Waits until a service says that it can do its work.
    ///
    /// # Panics
    /// When it ends or does not get ready.
    pub async fn ready(&mut self, name: &str) {
        let url = match name {
            name if is_orchestrator(name) => self.admin_of(name, "/readyz"),
            "provider" => self.url(name, "/livez"),
            "mail-catcher" => self.url(name, "/mails"),
            _ => self.url(name, "/readyz"),
        };
        let client = self.client.clone();
        let process = RefCell::new(self.processes.get_mut(name).expect("a started service"));
        let last = RefCell::new(String::new());
        eventually(
            &format!("{name} is ready"),
            async || {
                let ended = process.borrow_mut().ended().is_some();
                assert!(!ended, "{name} ended:\n{}", process.borrow().tail());
                let answer = client.send("GET", &url, &[], None).await;
                last.replace(format!("{answer:?}"));
                answer.ok().filter(|answer| answer.status == 200)
            },
            async || {
                let tail = process.borrow().tail();
                format!("{url} does not say 200, but {}; the process says:\n{tail}", last.borrow())
            },
        )
        .await;
    }

    /// Kills a service with SIGKILL.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self, name: &str) {
        self.process(name).kill();
    }

    /// The process of a service.
    ///
    /// # Panics
    /// When it was never started.
    pub fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).expect("a started service")
    }

    /// Whether a service was started.
    #[must_use]
    pub fn runs(&self, name: &str) -> bool {
        self.processes.contains_key(name)
    }

    /// A URL of a service's own listener; of the orchestrator the public one.
    #[must_use]
    pub fn url(&self, service: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[service])
    }

    /// A URL of the admin API.
    #[must_use]
    pub fn admin(&self, path: &str) -> String {
        self.admin_of("orchestrator", path)
    }

    /// A URL of the admin API of one of several orchestrators.
    #[must_use]
    pub fn admin_of(&self, orchestrator: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.admin_ports[orchestrator])
    }

    /// The header with the API key, which may do everything.
    #[must_use]
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.key)
    }

    /// Makes one more API key.
    #[must_use]
    pub fn make_key(&self, scope: &str) -> String {
        make_key(&self.env, scope)
    }

    /// A variable of the services' environment.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn setting(&self, name: &str) -> &str {
        &self.env.iter().find(|(key, _)| key == name).expect("a setting").1
    }

    /// Tells all services something else, from their next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Tells all services nothing of it, so that its default holds, from their next start on.
    pub fn unset(&mut self, name: &str) {
        self.env.retain(|(known, _)| known != name);
    }

    /// Tells one service something else than the rest, from its next start on; `None` takes it back.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn set_for(&mut self, service: &str, name: &str, value: Option<&str>) {
        let own = self.own.entry(known(service)).or_default();
        match value {
            Some(value) => drop(own.insert(name.to_owned(), value.to_owned())),
            None => drop(own.remove(name)),
        }
    }

    /// Runs a service by another binary than the one under test, from its next start on; `None` takes it back.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn run_as(&mut self, service: &str, program: Option<PathBuf>) {
        match program {
            Some(program) => drop(self.versions.insert(known(service), program)),
            None => drop(self.versions.remove(known(service))),
        }
    }

    fn env_of(&self, service: &str) -> Vec<(String, String)> {
        let mut env: BTreeMap<_, _> = self.env.iter().cloned().collect();
        env.extend(
            self.own.get(service).into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())),
        );
        env.into_iter().collect()
    }

    /// The environment of the services.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// The folder of databases and logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where orders are placed, to be taken along into tasks.
    #[must_use]
    pub fn door(&self) -> Door {
        self.door_of("orchestrator")
    }

    /// The same at one of several orchestrators.
    #[must_use]
    pub fn door_of(&self, orchestrator: &str) -> Door {
        let at = |path| self.url(orchestrator, path);
        Door::new(self.client.clone(), (at("/v1/orders"), at("/v1/sagas")), self.authorization())
    }

    /// Puts stock on the shelf.
    ///
    /// # Panics
    /// When inventory does not take it.
    pub async fn restock(&self, sku: &str, quantity: u64) {
        let body = json!({ "sku": sku, "quantity": quantity }).to_string().into_bytes();
        let url = self.url("inventory", "/inventory/restock");
        let headers = [("content-type", "application/json")];
        self.client.send("POST", &url, &headers, Some(body)).await.expect("inventory answers").ok();
    }

    /// A saga as operators see it.
    ///
    /// # Panics
    /// When it cannot be seen.
    pub async fn saga(&self, id: &str) -> Value {
        let authorization = self.authorization();
        let headers = [("authorization", authorization.as_str())];
        self.client.get(&self.admin(&format!("/v1/sagas/{id}")), &headers).await
    }

    /// Tells a saga what it waits for, until somebody answers.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn signal(&self, id: &str, name: &str, data: &Value) {
        let authorization = self.authorization();
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let url = self.url("orchestrator", &format!("/v1/sagas/{id}/signals/{name}"));
        let body = data.to_string().into_bytes();
        let send = async || self.client.send("POST", &url, &headers, Some(body.clone())).await.ok();
        let answered = async || send().await.filter(|answer| answer.status != 503);
        eventually(&format!("{id} takes {name}"), answered, async || self.dump().await).await.ok();
    }

    /// Waits until the action of a saga's step stands so.
    ///
    /// # Panics
    /// When it never does.
    pub async fn step_is(&self, id: &str, step: &str, state: &str) {
        let look = async || {
            let saga = self.saga(id).await;
            let steps = saga["steps"].as_array().expect("a saga has steps").iter();
            let mut states =
                steps.filter(|found| found["name"] == step).map(|found| &found["action"]["state"]);
            states.any(|found| found == state).then_some(())
        };
        eventually(&format!("{step} of {id} is {state}"), look, async || self.dump().await).await;
    }

    /// What there is to see when nothing moves any more.
    pub async fn dump(&self) -> String {
        let mut text = String::new();
        let authorization = self.authorization();
        let headers = [("authorization", authorization.as_str())];
        for status in ["running", "compensating", "parked"] {
            let url = self.admin(&format!("/v1/sagas?status={status}&limit=3"));
            let answer = self.client.send("GET", &url, &headers, None).await;
            text.push_str(&format!("=== {status}: {answer:#?}\n"));
        }
        for process in self.processes.values() {
            text.push_str(&process.tail());
        }
        text
    }
}

/// Services and replicas.
fn all_names() -> impl Iterator<Item = &'static str> {
    SERVICES.into_iter().chain(REPLICAS)
}

fn known(name: &str) -> &'static str {
    all_names().find(|known| *known == name).expect("a name out of SERVICES or REPLICAS")
}

fn is_orchestrator(name: &str) -> bool {
    name == "orchestrator" || REPLICAS.contains(&name)
}

fn make_key(env: &[(String, String)], scope: &str) -> String {
    let mut command = call();
    command.args(["key", "create", "--json", "--name", "tests", "--scope", scope]);
    let output =
        command.envs(env.iter().map(|(name, value)| (name, value))).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made: Value = serde_json::from_slice(&output.stdout).expect("`--json` gives JSON");
    made["key"].as_str().expect("a key").to_owned()
}
