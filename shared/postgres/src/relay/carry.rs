//! Bytes both ways, until either end closes, or the server owes an answer for too long.
//!
//! Invariant: only a server that was asked something can be silent for too long; an idle connection lives.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{Instant, sleep};

/// As much as one statement of a usual batch.
const BUFFER_BYTES: usize = 16 * 1024;
/// So often within the longest silence it is looked whether that is over: it is noticed an eighth later at most.
const LOOKS: u32 = 8;

/// When the server was asked what it has not answered; 0 when it owes nothing.
struct Debt {
    since: Instant,
    asked_at_ms: AtomicU64,
}

impl Debt {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn asked(&self) {
        // The oldest question counts.
        let _ = self.asked_at_ms.compare_exchange(0, self.now_ms(), Ordering::Relaxed, Ordering::Relaxed);
    }

    fn answered(&self) {
        self.asked_at_ms.store(0, Ordering::Relaxed);
    }

    /// Ends when an answer is owed for longer than that.
    async fn is_too_old(&self, silence_max: Duration) -> io::Error {
        let most_ms = u64::try_from(silence_max.as_millis()).unwrap_or(u64::MAX);
        loop {
            sleep(silence_max / LOOKS).await;
            let asked_at_ms = self.asked_at_ms.load(Ordering::Relaxed);
            if asked_at_ms > 0 && self.now_ms().saturating_sub(asked_at_ms) > most_ms {
                let what = format!("the server has not answered for {silence_max:?}");
                return io::Error::new(io::ErrorKind::TimedOut, what);
            }
        }
    }
}

/// Carries bytes until one end has said all it has to say: whoever leaves in mid-sentence wants no answer, and a server
/// that stands still would keep what was left to it.
pub(crate) async fn carry(
    client: impl AsyncRead + AsyncWrite + Unpin,
    server: impl AsyncRead + AsyncWrite + Unpin,
    silence_max: Duration,
) -> io::Result<()> {
    let debt = Debt { since: Instant::now(), asked_at_ms: AtomicU64::new(0) };
    let (from_client, to_client) = split(client);
    let (from_server, to_server) = split(server);
    tokio::select! {
        ended = pass(from_client, to_server, || debt.asked()) => ended,
        ended = pass(from_server, to_client, || debt.answered()) => ended,
        error = debt.is_too_old(silence_max) => Err(error),
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    heard: impl Fn(),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        heard();
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// A connection whose far ends are ours, and its carrier.
    fn carried(
        silence_max: Duration,
    ) -> (tokio::io::DuplexStream, tokio::io::DuplexStream, tokio::task::JoinHandle<io::Result<()>>) {
        let ((client, near_client), (server, near_server)) = (duplex(64), duplex(64));
        let carrier = tokio::spawn(carry(near_client, near_server, silence_max));
        (client, server, carrier)
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_owes_an_answer_for_too_long_is_hung_up_on() {
        let (mut client, mut server, carrier) = carried(Duration::from_secs(35));
        client.write_all(b"ask").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'a');
        let error = carrier.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{error}");
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0, "the client hears of it");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_an_answer_may_take_any_time() {
        let (mut client, mut server, _carrier) = carried(Duration::MAX);
        client.write_all(b"?").await.unwrap();
        assert_eq!(server.read_u8().await.unwrap(), b'?');
        sleep(Duration::from_secs(24 * 3_600)).await;
        server.write_all(b"!").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'!');
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_lives_and_either_end_may_close_it() {
        let (mut client, mut server, carrier) = carried(Duration::from_secs(35));
        for _ in 0..3 {
            client.write_all(b"?").await.unwrap();
            assert_eq!(server.read_u8().await.unwrap(), b'?');
            server.write_all(b"!").await.unwrap();
            assert_eq!(client.read_u8().await.unwrap(), b'!');
            sleep(Duration::from_secs(3_600)).await;
        }
        // The server does not have to agree.
        drop(client);
        carrier.await.unwrap().unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        let (mut client, server, carrier) = carried(Duration::from_secs(35));
        drop(server);
        carrier.await.unwrap().unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    }
}
