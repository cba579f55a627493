//! A broker of a test's own, to be killed, wiped and started again on the same port.
//!
//! Invariant: it listens on loopback only, and its store lies in the test's folder.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use crate::{Process, amends, free_port, patience, process::Launch};

const PATIENCE: Duration = Duration::from_secs(30);

/// A nats-server with JetStream.
pub struct NatsServer {
    process: Process,
    folder: PathBuf,
    port: u16,
}

impl NatsServer {
    /// Starts one in `folder`.
    #[must_use]
    pub fn start(folder: &Path) -> Self {
        let port = free_port();
        Self { process: run(folder, port), folder: folder.to_owned(), port }
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
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

    /// Starts it again, on the same port.
    pub fn start_again(&mut self) {
        self.process = run(&self.folder, self.port);
    }
}

fn store(folder: &Path) -> PathBuf {
    folder.join("jetstream")
}

fn run(folder: &Path, port: u16) -> Process {
    let (store, port) = (store(folder), port.to_string());
    fs::create_dir_all(&store).expect("a folder of the test can be made");
    let store = store.to_string_lossy();
    let arguments = ["--addr", "127.0.0.1", "--port", &port, "--jetstream", "--store_dir", &store];
    let launch = Launch { program: program(), arguments: &arguments, env: &[] };
    let mut process = Process::start("nats-server", launch, folder);
    patience::soon("nats-server listens", PATIENCE, || {
        assert!(process.ended().is_none(), "nats-server ended:\n{}", process.tail());
        TcpStream::connect(format!("127.0.0.1:{port}")).ok()
    });
    process
}

/// The nats-server that the demo would take, found or installed by it.
fn program() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let output = Command::new(amends()).arg("nats-server").output().expect("the binary runs");
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
