//! A relay between the store and PostgreSQL that can be told to cut the line around a statement.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

/// Where the line is cut, once.
#[derive(Clone, Copy)]
pub(crate) enum Cut {
    /// The server never hears of the COMMIT.
    BeforeCommit = 1,
    /// The server commits; its answer is lost.
    AfterCommit = 2,
    /// The server never hears of the values of a prepared statement.
    BeforeValues = 3,
    /// The server does the statement; its answer is lost.
    AfterValues = 4,
}

pub(crate) struct Relay {
    folder: TempDir,
    order: Arc<AtomicU8>,
    /// Whoever comes is hung up on.
    is_away: Arc<AtomicBool>,
}

impl Relay {
    /// Listens where `postgres:///...?host=<folder>` looks, and passes on to the server in `server`.
    pub(crate) fn start(server: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("amends-cut").tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let order = Arc::new(AtomicU8::new(0));
        let (server, orders) = (server.join(".s.PGSQL.5432"), Arc::clone(&order));
        let is_away = Arc::new(AtomicBool::new(false));
        let away = Arc::clone(&is_away);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !away.load(Ordering::SeqCst) {
                    tokio::spawn(relay(client, server.clone(), Arc::clone(&orders)));
                }
            }
        });
        Self { folder, order, is_away }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Hangs up on whoever comes, or no longer.
    pub(crate) fn be_away(&self, away: bool) {
        self.is_away.store(away, Ordering::SeqCst);
    }

    /// Orders a cut at the next such moment of any connection.
    pub(crate) fn cut(&self, cut: Cut) {
        self.order.store(cut as u8, Ordering::SeqCst);
    }
}

async fn relay(mut client: UnixStream, server: PathBuf, orders: Arc<AtomicU8>) {
    let mut server = UnixStream::connect(server).await.unwrap();
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    let mut cut = 0;
    loop {
        tokio::select! {
            Ok(count @ 1..) = client.read(&mut from_client) => {
                let message = &from_client[..count];
                let order = orders.load(Ordering::SeqCst);
                let is_meant = if order <= Cut::AfterCommit as u8 {
                    message.windows(6).any(|word| word == b"COMMIT")
                } else {
                    message.starts_with(b"B")
                };
                if is_meant {
                    cut = orders.swap(0, Ordering::SeqCst);
                }
                let unheard = [Cut::BeforeCommit as u8, Cut::BeforeValues as u8].contains(&cut);
                if unheard || server.write_all(message).await.is_err() {
                    return;
                }
            }
            Ok(count @ 1..) = server.read(&mut from_server) => {
                let lost = cut != 0;
                if lost || client.write_all(&from_server[..count]).await.is_err() {
                    return;
                }
            }
            else => return,
        }
    }
}
