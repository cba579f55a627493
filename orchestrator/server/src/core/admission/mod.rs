//! May one more saga begin? Beyond `moving_max` that move it may not, so that those which were accepted settle soon.
//!
//! A saga moves while a command or a reply of it is under way, or while its start is being committed. What is
//! under way the broker knows, for all orchestrators and after any restart ([`look`]); between two looks this
//! process adds what it starts and takes off what it sees end. Whatever waits (parked, paused, held by an outage,
//! for a signal, for an outcome that is pending) has nothing under way and keeps nobody out.
//!
//! Invariant: a refusal writes nothing and asks nobody; steps of running sagas never come by here.

mod look;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::LoopsConfig;

pub(crate) use look::Look;

/// Deliveries between two looks from which it is known how many messages come in one.
const BUNDLES_COUNTED_MIN: u64 = 16;

/// Why no saga may begin at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverloadReason {
    /// As many move as may move.
    Moving,
    /// As many starts, or actions, wait for their commit as may wait.
    Queue,
}

impl OverloadReason {
    /// One word, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moving => "moving",
            Self::Queue => "queue",
        }
    }
}

/// Nothing was started, and when to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the orchestrator has as much to do as it settles within seconds, and nothing was started; try again after the \
     seconds that Retry-After says"
)]
pub struct Overload {
    /// Why.
    pub reason: OverloadReason,
    /// In which time what moves now settles, as far as that is known, in milliseconds.
    pub settles_in_ms: Option<u64>,
}

/// The gate of all starts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    inner: Arc<Inner>,
}

struct Inner {
    moving_max: u64,
    waiting_max: u64,
    interval: Duration,
    books: Mutex<Books>,
    /// Wakes the one who looks.
    wanted: Notify,
}

/// What this process knows of the sagas that move.
#[derive(Default)]
struct Books {
    /// Starts that wait for their commit.
    waiting: u64,
    /// Starts that were committed, and ends that were seen, since the process began.
    started: u64,
    ended: u64,
    /// Deliveries of replies that were read, and the messages in them.
    deliveries: u64,
    messages: u64,
    /// What was under way at the last look, and what the books said then.
    found: u64,
    started_then: u64,
    ended_then: u64,
    looked_at: Option<Instant>,
    /// Ends per second between the last two looks.
    ends_per_s: u64,
}

/// A start that was let in. It counts as waiting until it is dropped.
#[must_use]
pub(crate) struct Admitted {
    gate: Admission,
}

/// A look under way: what the books said when it began.
pub(crate) struct Begun {
    started: u64,
    ended: u64,
    at: Instant,
}

impl Admission {
    pub(crate) fn new(config: &LoopsConfig) -> Self {
        Self {
            inner: Arc::new(Inner {
                moving_max: config.moving_max.max(1),
                waiting_max: config.submissions_max.max(1) as u64,
                interval: Duration::from_millis(config.moving_interval_ms),
                books: Mutex::default(),
                wanted: Notify::new(),
            }),
        }
    }

    /// Lets one more saga begin, or says why not.
    pub(crate) fn enter(&self) -> Result<Admitted, Overload> {
        let mut books = self.books();
        if books.looked_at.is_none_or(|at| at.elapsed() >= self.inner.interval) {
            self.inner.wanted.notify_one();
        }
        let refused = if books.waiting >= self.inner.waiting_max {
            Some(OverloadReason::Queue)
        } else {
            (books.moving() >= self.inner.moving_max).then_some(OverloadReason::Moving)
        };
        if let Some(reason) = refused {
            let settles_in_ms = books.settles_in_ms();
            drop(books);
            return Err(refuse(reason, settles_in_ms));
        }
        books.waiting += 1;
        Ok(Admitted { gate: self.clone() })
    }

    /// The queue was full all the same: operators' actions share it.
    pub(crate) fn queue_is_full(&self) -> Overload {
        refuse(OverloadReason::Queue, self.books().settles_in_ms())
    }

    /// A saga has ended.
    pub(crate) fn ended(&self) {
        self.books().ended += 1;
    }

    /// A delivery with so many replies was read: bundles count as what is in them.
    pub(crate) fn read(&self, messages: usize) {
        let mut books = self.books();
        books.deliveries += 1;
        books.messages += messages as u64;
    }

    /// Waits until somebody wants to know what moves.
    async fn wanted(&self) {
        self.inner.wanted.notified().await;
    }

    fn begin_look(&self) -> Begun {
        let books = self.books();
        Begun { started: books.started, ended: books.ended, at: Instant::now() }
    }

    /// Takes what was found: so many deliveries under way. `None`: nobody knows, and the books go on from what was
    /// found last.
    ///
    /// A start that was committed during the look may be counted twice, until the next one; it is never left out.
    fn end_look(&self, begun: &Begun, found: Option<u64>) {
        let mut books = self.books();
        let since_ms = books.looked_at.map(|then| (begun.at - then).as_millis());
        if let Some(since_ms) = since_ms.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| *ms > 0) {
            books.ends_per_s = begun.ended.saturating_sub(books.ended_then).saturating_mul(1_000) / since_ms;
        }
        if let Some(found) = found {
            books.found = found.saturating_mul(books.messages_per_delivery());
            books.started_then = begun.started;
            books.ended_then = books.ended;
        }
        books.looked_at = Some(begun.at);
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        gauge!("amends_sagas_moving").set(books.moving() as f64);
    }

    /// Whether nobody is let in at the moment.
    fn is_closed(&self) -> bool {
        self.books().moving() >= self.inner.moving_max
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.inner.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn moving(&self) -> u64 {
        let started = self.started - self.started_then;
        let ended = self.ended - self.ended_then;
        // Ends of what others have started may be more.
        (self.found + self.waiting + started).saturating_sub(ended)
    }

    fn settles_in_ms(&self) -> Option<u64> {
        (self.ends_per_s > 0).then(|| self.moving().saturating_mul(1_000) / self.ends_per_s)
    }

    /// How many messages a delivery has brought lately, rounded up.
    fn messages_per_delivery(&mut self) -> u64 {
        let each = self.messages.div_ceil(self.deliveries.max(1)).max(1);
        if self.deliveries >= BUNDLES_COUNTED_MIN {
            (self.deliveries, self.messages) = (self.deliveries / 2, self.messages / 2);
        }
        each
    }
}

impl Admitted {
    /// It is committed, and moves.
    pub(crate) fn started(self) {
        self.gate.books().started += 1;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gate.books().waiting -= 1;
    }
}

fn refuse(reason: OverloadReason, settles_in_ms: Option<u64>) -> Overload {
    counter!("amends_starts_refused_total", "reason" => reason.as_str()).increment(1);
    Overload { reason, settles_in_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(moving_max: u64, submissions_max: usize) -> Admission {
        Admission::new(&LoopsConfig { moving_max, submissions_max, ..LoopsConfig::default() })
    }

    fn start(gate: &Admission) -> Result<(), OverloadReason> {
        gate.enter().map(Admitted::started).map_err(|overload| overload.reason)
    }

    #[test]
    fn as_many_begin_as_may_move_and_each_end_lets_one_in() {
        let gate = gate(2, 10);
        assert_eq!([start(&gate), start(&gate), start(&gate)], [Ok(()), Ok(()), Err(OverloadReason::Moving)]);
        gate.ended();
        assert_eq!([start(&gate), start(&gate)], [Ok(()), Err(OverloadReason::Moving)]);
    }

    #[test]
    fn no_more_wait_for_their_commit_than_may_wait() {
        let gate = gate(100, 1);
        let first = gate.enter().ok().unwrap();
        assert_eq!(start(&gate), Err(OverloadReason::Queue));
        drop(first); // it was not committed
        assert_eq!(start(&gate), Ok(()));
    }

    #[test]
    fn a_look_knows_better_and_forgets_no_start_that_it_may_have_missed() {
        let gate = gate(5, 10);
        assert_eq!([start(&gate), start(&gate)], [Ok(()), Ok(())]);
        let begun = gate.begin_look();
        assert_eq!(start(&gate), Ok(()));
        // Two rest, others have started three.
        gate.end_look(&begun, Some(3));
        assert_eq!([start(&gate), start(&gate)], [Ok(()), Err(OverloadReason::Moving)]);
        let begun = gate.begin_look();
        gate.end_look(&begun, None);
        assert!(gate.is_closed(), "who does not answer has not become idle");
        gate.end_look(&gate.begin_look(), Some(0));
        assert!(!gate.is_closed());
    }

    #[test]
    fn a_bundle_counts_as_what_is_in_it() {
        let gate = gate(100, 10);
        (0..BUNDLES_COUNTED_MIN).for_each(|_| gate.read(10));
        gate.end_look(&gate.begin_look(), Some(9));
        assert!(!gate.is_closed());
        gate.end_look(&gate.begin_look(), Some(10));
        assert!(gate.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_said_when_what_moves_will_have_settled() {
        let gate = gate(30, 100);
        gate.end_look(&gate.begin_look(), Some(30));
        assert_eq!(gate.enter().err().unwrap().settles_in_ms, None);
        (0..10).for_each(|_| gate.ended());
        tokio::time::advance(Duration::from_secs(1)).await;
        gate.end_look(&gate.begin_look(), Some(40));
        assert_eq!(gate.enter().err().unwrap().settles_in_ms, Some(4_000));
    }
}
