//! A nats-server of one test: started, killed, started again on the same port, its store wiped.
//!
//! Invariant: dropping it leaves no process and no file behind.

use std::{
    env,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const REMEDY: &str = "no nats-server found: run `make nats-server`, or set NATS_SERVER_BIN to its path";

pub(crate) struct Server {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts one with `JetStream`.
    pub(crate) fn start() -> Self {
        Self::configured("jetstream: { store_dir: \"STORE\" }")
    }

    /// Starts one whose configuration ends with `text`; `STORE` in it becomes the store's folder.
    pub(crate) fn configured(text: &str) -> Self {
        let mut server = Self { folder: TempDir::new().unwrap(), port: free_port(), child: None };
        let store = server.store().display().to_string();
        let head = format!("listen: 127.0.0.1:{}\nserver_name: test\n", server.port);
        std::fs::write(server.config(), head + &text.replace("STORE", &store)).unwrap();
        server.resume();
        server
    }

    /// One that is not running yet.
    pub(crate) fn stopped() -> Self {
        let mut server = Self::start();
        server.kill();
        server.wipe();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Kills it without any warning.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again, on the same port and store, and waits until it listens.
    pub(crate) fn resume(&mut self) {
        assert!(self.child.is_none(), "already running");
        let log = std::fs::File::options().create(true).append(true).open(self.log()).unwrap();
        let child = Command::new(binary())
            .arg("-c")
            .arg(self.config())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("{REMEDY} ({error})"));
        self.child = Some(child);
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none() && Instant::now() < deadline, "nats-server does not start:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills and starts it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.resume();
    }

    /// Deletes everything it stored. Only while it is killed.
    pub(crate) fn wipe(&self) {
        assert!(self.child.is_none(), "still running");
        if self.store().exists() {
            std::fs::remove_dir_all(self.store()).unwrap();
        }
    }

    /// Copies everything it stored. Only while it is killed.
    pub(crate) fn backup(&self) -> PathBuf {
        assert!(self.child.is_none(), "still running");
        let copy = self.folder.path().join("backup");
        copy_folder(&self.store(), &copy);
        copy
    }

    /// Puts a backup in the place of the store. Only while it is killed.
    pub(crate) fn restore(&self, backup: &Path) {
        self.wipe();
        copy_folder(backup, &self.store());
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("nats.conf")
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("nats.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("nats-server said:\n{}", std::fs::read_to_string(self.log()).unwrap_or_default());
        }
        self.kill();
    }
}

fn binary() -> PathBuf {
    if let Some(path) = env::var_os("NATS_SERVER_BIN").filter(|path| !path.is_empty()) {
        return path.into();
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{REMEDY}"))
}

/// A port that is free now, and that the system does not give away by itself: the server must get it
/// again after it was killed.
fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    (0..10_000)
        .map(|_| 12_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
