//! One connection of a client.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::IntoResponse;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{HttpConfig, overloaded};

/// hyper buffers no less.
const HEAD_BYTES_MIN: usize = 8 * 1024;

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
        .max_buf_size(config.head_bytes_max.max(HEAD_BYTES_MIN))
        .header_read_timeout(Duration::from_millis(config.head_timeout_ms));
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)));
    tokio::select! {
        result = connection.as_mut() => return closed(result),
        () = shutdown.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    closed(connection.await);
}

/// Answers the first request that there are too many connections, and closes this one.
pub(super) async fn refuse(stream: TcpStream, config: HttpConfig) {
    let timeout = Duration::from_millis(config.refusal_timeout_ms);
    let refusal = service_fn(|_: http::Request<hyper::body::Incoming>| async {
        let detail = "there are as many connections as may be, and this request was not looked at; try again after the \
                      seconds that Retry-After says, on as few connections as you can";
        Ok::<_, Infallible>(overloaded(detail).into_response())
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .max_buf_size(config.head_bytes_max.max(HEAD_BYTES_MIN))
        .keep_alive(false);
    let refused = builder.serve_connection(TokioIo::new(stream), refusal);
    if let Ok(Err(error)) = tokio::time::timeout(timeout, refused).await {
        tracing::debug!(%error, "a connection broke off while it was refused");
    }
}

fn closed(result: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = result {
        tracing::debug!(error, "a connection broke off");
    }
}
