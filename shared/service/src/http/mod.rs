//! Serving HTTP: one listener, the layers that every service has, and an end that drains.
//!
//! Invariant: after shutdown is asked for, no new connection is taken, running requests are finished, and
//! the whole takes at most the drain timeout.

mod config;
mod layers;
pub mod request_id;

use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::HttpConfig;
pub use layers::with_layers;

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
    TcpListener::bind(&config.listen).await.map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "another program has that port: stop it or choose another port",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "give it as host:port, such as 127.0.0.1:8080",
        };
        BindError { address: config.listen.clone(), error, remedy }
    })
}

/// Serves the router, wrapped by [`with_layers`], until `shutdown` is cancelled and running requests
/// are done, or `drain_timeout_ms` have passed.
///
/// # Errors
/// When the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    config: &HttpConfig,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let router = with_layers(router, config);
    // Answers are small and written at once: Nagle's algorithm could only hold them back.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY refused");
        }
    });
    tracing::info!(%address, "listening");
    let drain = Duration::from_millis(config.drain_timeout_ms);
    let serving = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        served = async { serving.await } => served,
        () = too_long => {
            tracing::warn!(%address, drain_ms = config.drain_timeout_ms, "requests were still running and are cut off");
            Ok(())
        }
    }
}
