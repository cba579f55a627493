//! When to stop: SIGTERM and SIGINT, heard once politely and the second time at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How a process ends that was told twice, as shells report an interrupt: 128 + SIGINT.
const EXIT_INTERRUPTED: i32 = 130;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second one ends the process without
/// draining: somebody who asks twice does not want to wait.
///
/// # Errors
/// When the process may not listen for signals.
pub fn signals() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!(signal = name, "shutting down; once more to stop without draining");
        cancelled.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!(signal = name, "stopping without draining");
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(token)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
