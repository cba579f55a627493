//! A Unix socket of our own in front of a PostgreSQL server that is reached over TCP.
//!
//! sqlx 0.9 leaves Nagle's algorithm on and lets nobody set the socket's options: a statement larger than a
//! segment then waits for the other end's delayed acknowledgement, some 40 ms each time, and a server that
//! vanished is noticed after two hours. So sqlx speaks to this socket, and the way to the server has the
//! options it needs. The bytes, TLS included, pass through untouched.
//!
//! To be deleted, with its one call, when sqlx sets `TCP_NODELAY` by itself.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use socket2::{SockRef, TcpKeepalive};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::AbortHandle;

/// After this long without an answer the server is taken for gone: what was sent is unacknowledged, or
/// probes of an idle connection are.
const GONE_AFTER: Duration = Duration::from_secs(30);
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// Accepts connections until it is dropped.
pub(crate) struct Relay {
    accepting: AbortHandle,
    _folder: TempDir,
}

impl Relay {
    /// Options that lead through a relay, if the given ones lead over TCP.
    pub(super) fn through(options: PgConnectOptions) -> (PgConnectOptions, Option<Self>) {
        if options.get_socket().is_some() || options.get_host().starts_with('/') {
            return (options, None);
        }
        match Self::listen(options.get_host().to_owned(), options.get_port()) {
            // The host stays: TLS checks the server's certificate against it.
            Ok((relay, folder)) => (options.socket(folder), Some(relay)),
            Err(error) => {
                tracing::warn!(%error, "no Unix socket can be made: large commits over TCP will be slow");
                (options, None)
            }
        }
    }

    fn listen(host: String, port: u16) -> io::Result<(Self, PathBuf)> {
        // Only we may enter the folder, so only we may use the socket.
        let folder = tempfile::Builder::new().prefix("amends-").tempdir()?;
        let path = folder.path().to_owned();
        let listener = UnixListener::bind(path.join(format!(".s.PGSQL.{port}")))?;
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(tokio::spawn(relay(client, host.clone(), port))),
                    Err(error) => {
                        tracing::warn!(%error, "the database's relay cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok((Self { accepting: accepting.abort_handle(), _folder: folder }, path))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection until either end closes it. A server that cannot be reached looks to sqlx like
/// one that hangs up.
async fn relay(mut client: UnixStream, host: String, port: u16) {
    let carried = async {
        let mut server = TcpStream::connect((host.as_str(), port)).await?;
        server.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
        let socket = SockRef::from(&server);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
        copy_bidirectional(&mut client, &mut server).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, host, port, "a database connection ended");
    }
}
