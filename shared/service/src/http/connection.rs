//! One connection of a client.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::HttpConfig;

/// Answers requests until the client goes away; after `shutdown` only the running ones.
pub(super) async fn serve(
    stream: TcpStream,
    router: Router,
    config: HttpConfig,
    shutdown: CancellationToken,
) {
    // Answers are small and written at once: Nagle's algorithm could only hold them back.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY refused");
    }
    let service = router.map_request(|request: http::Request<hyper::body::Incoming>| -> Request {
        request.map(axum::body::Body::new)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(config.head_timeout_ms));
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    tokio::select! {
        result = connection.as_mut() => return closed(result),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    closed(connection.await);
}

fn closed(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(error, "a connection broke off");
    }
}
