//! A broker of a test's own, to be killed, wiped and started again on the same port.
//!
//! Invariant: it listens on loopback only, and its store lies in the test's folder.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use crate::{Process, call, free_port, patience, process::Launch};

const PATIENCE: Duration = Duration::from_secs(30);

/// A nats-server with JetStream, alone or as a member of a cluster.
pub struct NatsServer {
    process: Process,
    folder: PathBuf,
    port: u16,
    membership: Option<Membership>,
}

/// A server's place in a cluster.
#[derive(Clone, Debug)]
pub(crate) struct Membership {
    /// The server's name, as the leader of a stream is called.
    pub(crate) name: String,
    /// Where the others reach it.
    pub(crate) route_port: u16,
    /// Where all of them are reached.
    pub(crate) routes: Vec<u16>,
}

impl Membership {
    fn arguments(&self) -> Vec<String> {
        let url = |port: &u16| format!("nats://127.0.0.1:{port}");
        let routes: Vec<_> = self.routes.iter().map(url).collect();
        // Clients are told of the servers by their own configuration, and thus stay behind their proxies.
        let given = [
            ("--server_name", self.name.clone()),
            ("--cluster_name", "amends-tests".to_owned()),
            ("--cluster", url(&self.route_port)),
            ("--routes", routes.join(",")),
        ];
        let given = given.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        given.chain(["--no_advertise=true".to_owned()]).collect()
    }
}

impl NatsServer {
    /// Starts one in `folder`.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let server = Self::launch(folder, None);
        Self { process: listening(server.process, server.port), ..server }
    }

    /// Starts a member of a cluster, which does not listen yet.
    pub(crate) fn member(folder: &Path, membership: Membership) -> Self {
        Self::launch(folder, Some(membership))
    }

    fn launch(folder: &Path, membership: Option<Membership>) -> Self {
        let port = free_port();
        let process = run(folder, port, membership.as_ref());
        Self { process, folder: folder.to_owned(), port, membership }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its name in its cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        self.membership.as_ref().map_or("nats-server", |membership| &membership.name)
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Kills it and deletes all that JetStream has stored.
    ///
    /// # Panics
    /// When the store cannot be deleted.
    pub fn kill_and_wipe(&mut self) {
        self.process.kill();
        fs::remove_dir_all(store(&self.folder)).expect("the store can be deleted");
    }

    /// Where JetStream stores.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        store(&self.folder)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG).with_extension("log")
    }

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        self.process = listening(run(&self.folder, self.port, self.membership.as_ref()), self.port);
    }

    /// Waits until it accepts connections.
    pub(crate) fn listens(&mut self) {
        await_listening(&mut self.process, self.port);
    }
}

/// Name of the process, and of its log.
const LOG: &str = "nats-server";

fn store(folder: &Path) -> PathBuf {
    folder.join("jetstream")
}

fn run(folder: &Path, port: u16, membership: Option<&Membership>) -> Process {
    let (store, port) = (store(folder), port.to_string());
    fs::create_dir_all(&store).expect("a folder of the test can be made");
    let store = store.to_string_lossy();
    let joined = membership.map(Membership::arguments).unwrap_or_default();
    let mut arguments = vec!["--addr", "127.0.0.1", "--port", &port, "--jetstream", "--store_dir", &store];
    arguments.extend(joined.iter().map(String::as_str));
    Process::start(LOG, Launch { program: program(), arguments: &arguments, env: &[] }, folder)
}

fn listening(mut process: Process, port: u16) -> Process {
    await_listening(&mut process, port);
    process
}

fn await_listening(process: &mut Process, port: u16) {
    patience::soon("nats-server listens", PATIENCE, || {
        assert!(process.ended().is_none(), "nats-server ended:\n{}", process.tail());
        TcpStream::connect(format!("127.0.0.1:{port}")).ok()
    });
}

/// The nats-server that the demo would take, found or installed by it.
fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let output = call().arg("nats-server").output().expect("the binary runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8(output.stdout).expect("the path is UTF-8").trim_end())
    })
}

#[test]
fn a_wiped_broker_starts_again_empty() {
    use serde_json::json;

    use crate::Wire;

    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut server = NatsServer::start(folder.path());
    let mut wire = Wire::connect(&server.url());
    let made = wire.api("STREAM.CREATE.A", &json!({ "name": "A", "subjects": ["a.>"] }));
    assert_eq!(made["config"]["name"], "A");
    assert_eq!(wire.publish("a.b", b"first"), 1);
    assert_eq!(wire.messages("A"), [("a.b".to_owned(), b"first".to_vec())]);

    server.kill_and_wipe();
    server.start_again();
    let info = Wire::connect(&server.url()).api("STREAM.INFO.A", &json!({}));
    assert_eq!(info["error"]["err_code"], 10059, "{info}");
}
