//! A Unix socket of our own in front of a PostgreSQL server that is reached over TCP.
//!
//! sqlx 0.9 leaves Nagle's algorithm on and lets nobody set the socket's options: a statement larger than a
//! segment then waits for the other end's delayed acknowledgement, some 40 ms each time, and a server that
//! vanished is noticed after a quarter of an hour, or after two. So sqlx speaks to this socket, and the way to the
//! server has the options it needs. The bytes, TLS included, pass through untouched.
//!
//! Invariant: whoever was asked something and says nothing for longer than it may take is hung up on.

mod carry;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::AbortHandle;
use uuid::Uuid;

use carry::carry;

/// After this long without an acknowledgement the server is taken for gone: of what was sent, or of probes of an
/// idle connection.
const GONE_AFTER: Duration = Duration::from_secs(30);
const PROBE_AFTER: Duration = Duration::from_secs(10);
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// What a statement's answer may take longer than its timeout, which the server counts: the way, and its breaking off.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// Accepts connections until it is dropped.
#[derive(Debug)]
pub struct Relay {
    accepting: AbortHandle,
}

/// Where a server is, and how long it may be silent.
#[derive(Clone)]
struct Way {
    host: String,
    port: u16,
    silence_max: Duration,
}

impl Relay {
    /// Options that lead through a relay, if the given ones lead over TCP. `statement_timeout` is what the server was
    /// told: who is silent for longer, and a little, is gone. Zero is no limit, as it is for the server.
    #[must_use]
    pub fn through(
        options: PgConnectOptions,
        statement_timeout: Duration,
    ) -> (PgConnectOptions, Option<Self>) {
        if options.get_socket().is_some() || options.get_host().starts_with('/') {
            return (options, None);
        }
        let silence_max = longest_silence(statement_timeout);
        let way = Way { host: options.get_host().to_owned(), port: options.get_port(), silence_max };
        match Self::listen(way) {
            // The host stays: TLS checks the server's certificate against it.
            Ok((relay, folder)) => (options.socket(folder), Some(relay)),
            Err(error) => {
                tracing::warn!(%error, "no Unix socket can be made: large commits over TCP will be slow");
                (options, None)
            }
        }
    }

    fn listen(way: Way) -> io::Result<(Self, PathBuf)> {
        // In Linux's abstract namespace, which the zero says: it is no file, so whoever is killed leaves none behind.
        let folder = PathBuf::from(format!("\0amends-{}", Uuid::now_v7()));
        let listener = UnixListener::bind(folder.join(format!(".s.PGSQL.{}", way.port)))?;
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) if is_ours(&client) => drop(tokio::spawn(relay(client, way.clone()))),
                    Ok(_) => tracing::warn!("another process knocked at the database's relay"),
                    Err(error) => {
                        tracing::warn!(%error, "the database's relay cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok((Self { accepting: accepting.abort_handle() }, folder))
    }
}

/// For how long a server may owe an answer.
const fn longest_silence(statement_timeout: Duration) -> Duration {
    if statement_timeout.is_zero() { Duration::MAX } else { statement_timeout.saturating_add(ON_THE_WAY) }
}

/// Whether this process is at the other end: such a socket has no permissions.
fn is_ours(client: &UnixStream) -> bool {
    let pid = client.peer_cred().ok().and_then(|peer| peer.pid());
    pid.and_then(|pid| u32::try_from(pid).ok()) == Some(std::process::id())
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Carries one connection until either end closes it. A server that cannot be reached looks to sqlx like
/// one that hangs up.
async fn relay(client: UnixStream, Way { host, port, silence_max }: Way) {
    let carried = async {
        let server = TcpStream::connect((host.as_str(), port)).await?;
        server.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(PROBE_AFTER).with_interval(PROBE_EVERY);
        let socket = SockRef::from(&server);
        socket.set_tcp_keepalive(&keepalive)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(GONE_AFTER))?;
        carry(client, server, silence_max).await
    };
    if let Err(error) = carried.await {
        tracing::debug!(%error, host, port, "a database connection ended");
    }
}

#[test]
fn a_server_without_a_limit_may_be_silent_for_ever() {
    assert_eq!(longest_silence(Duration::ZERO), Duration::MAX);
    assert_eq!(longest_silence(Duration::from_secs(30)), Duration::from_secs(35));
}
