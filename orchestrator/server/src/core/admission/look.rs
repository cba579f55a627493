//! Asks the broker what is under way: commands that their participants have not answered, replies that we have
//! not committed.
//!
//! It looks while sagas are started, and while nobody is let in; else it sleeps.
//!
//! Invariant: what lies unread before somebody who is away is not under way, or an outage would close the gate.

use std::collections::HashMap;
use std::time::Duration;

use amends_broker::{Broker, ConsumerStatus, Error};
use amends_contract::{ORCHESTRATOR, Stream, Token};
use futures::future::{join, join_all};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::config::LoopsConfig;
use super::super::definitions::Definitions;
use super::Admission;

/// Longest wait for the broker's answers: whoever wants to begin is let in or refused by older knowledge meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// The loop's parts.
pub(crate) struct Look {
    gate: Admission,
    broker: Broker,
    definitions: Definitions,
    interval: Duration,
    absent_after: Duration,
    readers: HashMap<Token, Reader>,
}

/// What was last seen of a participant.
struct Reader {
    /// Number of the newest message it got, up to which it has acknowledged all, and how many it has not.
    seen: (u64, u64, usize),
    /// When that was something else.
    moved_at: Instant,
}

impl Look {
    pub(crate) fn new(
        gate: &Admission,
        broker: &Broker,
        definitions: &Definitions,
        config: &LoopsConfig,
    ) -> Self {
        Self {
            gate: gate.clone(),
            broker: broker.clone(),
            definitions: definitions.clone(),
            interval: Duration::from_millis(config.moving_interval_ms.max(1)),
            absent_after: Duration::from_millis(config.reader_absent_ms),
            readers: HashMap::new(),
        }
    }

    /// Runs until shutdown.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let _ = shutdown.run_until_cancelled(self.go_on()).await;
    }

    async fn go_on(&mut self) {
        loop {
            if !self.gate.is_closed() {
                self.gate.wanted().await;
            }
            let begun = self.gate.begin_look();
            let found = self.under_way().await;
            self.gate.end_look(&begun, found);
            sleep(self.interval).await;
        }
    }

    /// Deliveries under way. While the broker is away there are none: what is started then is held. `None` when it is
    /// there and does not say.
    async fn under_way(&mut self) -> Option<u64> {
        if !self.broker.health().connected {
            return Some(0);
        }
        let participants = self.definitions.participants();
        let commands =
            participants.iter().map(|name| self.broker.consumer_status(Stream::Command, name.as_str()));
        let replies = self.broker.consumer_status(Stream::Reply, ORCHESTRATOR);
        let (replies, commands) = timeout(PATIENCE, join(replies, join_all(commands))).await.ok()?;
        let mut count = 0;
        count += known(replies)?.map_or(0, |status| unanswered(&status));
        for (name, status) in participants.into_iter().zip(commands) {
            // Nobody has ever read there.
            let Some(status) = known(status)? else { continue };
            count += self.of_reader(name, &status);
        }
        Some(count)
    }

    fn of_reader(&mut self, name: Token, status: &ConsumerStatus) -> u64 {
        let (now, seen) = (Instant::now(), (status.delivered_seq, status.acked_seq, status.ack_pending));
        let reader = self.readers.entry(name).or_insert(Reader { seen, moved_at: now });
        if reader.seen != seen {
            *reader = Reader { seen, moved_at: now };
        }
        // A busy one may ask for nothing for a moment; then it has answered something by the next.
        let is_away = status.waiting == 0 && reader.moved_at.elapsed() >= self.absent_after;
        if is_away || status.paused_ms > 0 { 0 } else { unanswered(status) }
    }
}

fn unanswered(status: &ConsumerStatus) -> u64 {
    status.pending.saturating_add(status.ack_pending as u64)
}

/// The answer; of a broker that cannot say, or not any more, that there is nothing. `None` of one that is silent.
fn known(status: Result<Option<ConsumerStatus>, Error>) -> Option<Option<ConsumerStatus>> {
    match status {
        Ok(status) => Some(status),
        Err(Error::TimedOut(_)) => None,
        Err(_) => Some(None),
    }
}
