//! Serving HTTP: one listener, the layers that every service has, and an end that drains.
//!
//! Invariant: after shutdown is asked for, no new connection is taken, running requests are finished, and
//! what is not finished within the drain timeout is cut off, so that nothing of a request outlives it.

mod config;
mod connection;
mod layers;
pub mod request_id;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use metrics::counter;
use tokio::net::{TcpListener, TcpSocket, lookup_host};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::HttpConfig;
pub use layers::with_layers;

use crate::problem::Problem;

/// How long nothing is accepted after the system refused a connection for want of something (file
/// descriptors, memory): whoever has one may give it back meanwhile.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// When to come back whoever finds no place, in seconds.
const RETRY_AFTER_S: std::ops::RangeInclusive<u32> = 1..=3;

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {error}; {remedy}")]
pub struct BindError {
    /// The address.
    pub address: String,
    /// What the system says.
    pub error: io::Error,
    remedy: &'static str,
}

/// Listens on `config.listen`.
///
/// # Errors
/// [`BindError`] with what to do.
pub async fn bind(config: &HttpConfig) -> Result<TcpListener, BindError> {
    listen(config).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has that port: stop it or choose another port",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "give it as host:port, such as 127.0.0.1:8080",
        };
        BindError { address: config.listen.clone(), error, remedy }
    })
}

/// The first of the host's addresses that can be listened on.
async fn listen(config: &HttpConfig) -> io::Result<TcpListener> {
    let mut problem = io::Error::new(io::ErrorKind::InvalidInput, "the host has no address");
    for address in lookup_host(&config.listen).await? {
        match listen_on(address, config.waiting_max) {
            Ok(listener) => return Ok(listener),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

fn listen_on(address: SocketAddr, waiting_max: u32) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A port whose last connections are still being closed can be taken at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(waiting_max)
}

/// Serves the router, wrapped by [`with_layers`], until `shutdown` is cancelled and running requests
/// are done, or `drain_timeout_ms` have passed. When it returns, no clone of the router is left.
///
/// # Errors
/// When the listener has no address.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let router = with_layers(router, config);
    let mut connections = JoinSet::new();
    // They end by themselves, and soon.
    let mut refusals = JoinSet::new();
    tracing::info!(%address, "listening");
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            Some(_) = refusals.join_next() => {}
            accepted = listener.accept(), if refusals.len() < config.refusals_max => match accepted {
                Ok((stream, _)) if connections.len() < config.connections_max => {
                    connections.spawn(connection::serve(stream, router.clone(), config.clone(), shutdown.clone()));
                }
                Ok((stream, _)) => {
                    counter!("amends_http_connections_refused_total").increment(1);
                    refusals.spawn(connection::refuse(stream, config.clone()));
                }
                Err(error) => refused(&error).await,
            },
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_millis(config.drain_timeout_ms), drained).await.is_err() {
        let count = connections.len();
        tracing::warn!(%address, count, drain_ms = config.drain_timeout_ms, "requests are cut off");
        connections.shutdown().await;
    }
    Ok(())
}

/// There is too much to do for one more of these; spread, so that those who are refused do not come back in step.
fn overloaded(detail: &str) -> Problem {
    Problem::unavailable("overloaded", detail, rand::random_range(RETRY_AFTER_S))
}

async fn refused(error: &io::Error) {
    // The client gave up in the queue: nothing is wrong here.
    let gone =
        [io::ErrorKind::ConnectionRefused, io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if !gone.contains(&error.kind()) {
        tracing::warn!(%error, "no connection can be accepted at the moment");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
