//! A participant as a process of its own that can be killed, beside a real broker; the test plays the
//! orchestrator, on the wire.
//!
//! The process is this test program again, told by its environment to be the participant. Invariant:
//! dropping the stage leaves no process and no file behind.

use std::cell::RefCell;
use std::env;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command as Program, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use amends_contract::{Address, Command, EffectId, Envelope, Names, Outcome, Reply, Stream, Timestamp};
use amends_tests::{Wire, eventually, free_port};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the test that is the participant's process.
const ROLE: &str = "role_process";
const ROLE_CONFIG: &str = "AMENDS_TEST_ROLE_CONFIG";
const ROLE_NATS: &str = "AMENDS_TEST_ROLE_NATS";

/// What the process was told to be; `None` in an ordinary run of the tests.
pub(crate) fn role<T: DeserializeOwned>() -> Option<(T, amends_broker::Config)> {
    let config = env::var(ROLE_CONFIG).ok()?;
    let url = env::var(ROLE_NATS).ok()?;
    let nats = amends_broker::Config { url: url.into(), ..amends_broker::Config::default() };
    let _ = amends_service::metrics::Metrics::of_process();
    amends_service::telemetry::init(&amends_service::LogConfig::default()).unwrap();
    Some((serde_json::from_str(&config).unwrap(), nats))
}

/// A process that dies with its owner.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Stage {
    // Dropped in this order: processes before the folder they write to.
    participant: Option<Owned>,
    _nats: Owned,
    wire: Wire,
    nats_url: String,
    name: &'static str,
    /// Of the participant's next start.
    pub(crate) config: Value,
    folder: TempDir,
}

impl Stage {
    /// A broker and a participant with this configuration, whose waits are made short. Without a
    /// database of its own it gets one in the stage's folder.
    pub(crate) async fn start(name: &'static str, database_url: Option<String>, config: Value) -> Self {
        let mut stage = Self::without_participant(name, database_url, config).await;
        stage.resume(None).await;
        stage
    }

    pub(crate) async fn without_participant(
        name: &'static str,
        database_url: Option<String>,
        mut config: Value,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = database_url.unwrap_or_else(|| format!("sqlite://{}/own.db", folder.path().display()));
        config["database"] = json!({ "url": url });
        config["http"] = json!({ "listen": format!("127.0.0.1:{}", free_port()) });
        let participant = config["participant"].take();
        config["participant"] = json!({
            "pending_after_ms": 300, "recover_initial_ms": 50, "recover_interval_ms": 50,
            "recover_cap_ms": 500, "lease_ms": 1_500,
        });
        for (key, value) in participant.as_object().into_iter().flatten() {
            config["participant"][key] = value.clone();
        }
        let port = free_port();
        let nats = Program::new(nats_server())
            .args(["--addr", "127.0.0.1", "--port", &port.to_string(), "--jetstream", "--store_dir"])
            .arg(folder.path().join("jetstream"))
            .stderr(File::create(folder.path().join("nats.log")).unwrap())
            .spawn()
            .unwrap();
        let nats = Owned(nats);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        eventually("nats-server listens", async || TcpStream::connect(address).ok(), nothing).await;
        let nats_url = format!("nats://{address}");
        let wire = Wire::connect(&nats_url);
        Self { participant: None, _nats: nats, wire, nats_url, name, config, folder }
    }

    /// Starts the participant; with a crash point it dies there.
    pub(crate) async fn resume(&mut self, crash_point: Option<&str>) {
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let child = Program::new(env::current_exe().unwrap())
            .args([ROLE, "--exact", "--nocapture"])
            .env(ROLE_CONFIG, self.config.to_string())
            .env(ROLE_NATS, &self.nats_url)
            .env("AMENDS_CRASH_POINT", crash_point.unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.participant = Some(Owned(child));
        let stream = Names::default().stream(Stream::Command);
        let wire = &mut self.wire;
        let info = format!("STREAM.INFO.{stream}");
        let dump = async || std::fs::read_to_string(self.folder.path().join("participant.log")).unwrap();
        eventually("the streams exist", async || wire.api(&info, &json!({})).get("config").cloned(), dump)
            .await;
    }

    /// Kills the participant with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.participant = None;
    }

    /// Waits until the participant has died by itself.
    pub(crate) async fn died(&mut self) {
        let participant = self.participant.as_mut().unwrap();
        eventually("the crash point is reached", async || participant.0.try_wait().unwrap(), nothing).await;
        self.participant = None;
    }

    /// Where the participant's HTTP is.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.config["http"]["listen"].as_str().unwrap())
    }

    /// Sends a command.
    pub(crate) fn send(&mut self, command: &Command) {
        let address = &command.address;
        let subject = Names::default().command(&address.participant, &address.command);
        let body = serde_json::to_vec(&command.to_envelope()).unwrap();
        self.wire.publish(&subject, &body);
    }

    /// The outcomes answered so far for an effect, in order. A recorded answer is given again byte for
    /// byte, with the number of the sending that it answered first.
    pub(crate) fn answers(&mut self, effect: &EffectId) -> Vec<Outcome> {
        self.messages(Stream::Reply)
            .into_iter()
            .map(|envelope| Reply::from_envelope(envelope).unwrap())
            .filter(|reply| reply.effect == *effect)
            .map(|reply| reply.outcome)
            .collect()
    }

    /// Waits for an answer of this kind.
    pub(crate) async fn answer(&mut self, command: &Command, name: &str) -> Outcome {
        self.answer_after(0, command, name).await
    }

    /// Sends a command and waits for an answer of this kind to it.
    pub(crate) async fn ask(&mut self, command: &Command, name: &str) -> Outcome {
        let before = self.answers(&command.effect).len();
        self.send(command);
        self.answer_after(before, command, name).await
    }

    async fn answer_after(&mut self, before: usize, command: &Command, name: &str) -> Outcome {
        let (log, effect) = (self.log_path(), command.effect.clone());
        let seen = RefCell::new(Vec::new());
        let look = async || {
            seen.replace(self.answers(&effect));
            seen.borrow().iter().skip(before).find(|outcome| outcome.name() == name).cloned()
        };
        let dump = async || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            format!("answered so far: {:?}\n{log}", seen.borrow())
        };
        eventually(&format!("{effect} is answered {name}"), look, dump).await
    }

    /// Waits for an event of this type, and gives its data.
    pub(crate) async fn event(&mut self, message_type: &str) -> Value {
        let look = async || {
            let mut events = self.messages(Stream::Event).into_iter();
            events.find(|event| event.message_type == message_type).map(|event| event.data)
        };
        eventually(&format!("there is {message_type}"), look, nothing).await.into()
    }

    fn messages(&mut self, stream: Stream) -> Vec<Envelope> {
        let messages = self.wire.messages(&Names::default().stream(stream));
        messages.into_iter().map(|(_, body)| serde_json::from_slice(&body).unwrap()).collect()
    }

    /// A command to the participant, of a saga of its own.
    pub(crate) fn command(&self, command: &str, data: Value) -> Command {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let made_at = Timestamp::from_unix_ms(i64::try_from(since.as_millis()).unwrap());
        Command {
            effect: format!("{}/{command}/do/1", saga(made_at)).parse().unwrap(),
            send_no: 1,
            address: Address::new(self.name, command).unwrap(),
            definition: "order.v1".parse().unwrap(),
            decided_at: made_at,
            undoes: None,
            data: data.into(),
        }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("participant.log")
    }
}

/// The next sending of the same command.
pub(crate) fn again(command: &Command) -> Command {
    Command { send_no: command.send_no + 1, ..command.clone() }
}

/// A saga id made now: a UUIDv7 whose random part is the process and a count.
fn saga(made_at: Timestamp) -> uuid::Uuid {
    use std::sync::atomic::{AtomicU64, Ordering};
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let ms = u128::from(made_at.unix_ms().unsigned_abs());
    let rest = u128::from(std::process::id()) << 24 | u128::from(COUNT.fetch_add(1, Ordering::Relaxed));
    uuid::Uuid::from_u128(ms << 80 | 0x7 << 76 | 0b10 << 62 | rest)
}

fn nats_server() -> PathBuf {
    const REMEDY: &str = "no nats-server found: run `make nats-server`, or set NATS_SERVER_BIN to its path";
    if let Some(path) = env::var_os("NATS_SERVER_BIN").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
        .expect(REMEDY)
}

async fn nothing() -> String {
    String::new()
}
