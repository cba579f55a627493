//! Whether anything happens in this process, so that loops that look by interval sleep while nothing does.
//!
//! Invariant: it only saves looks. What a sleeper misses it finds `idle_interval_ms` later at the latest.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

/// For how long after the last input the loops look as often as they may: by then it is committed, and what follows
/// from it can be seen.
const AWAKE: Duration = Duration::from_secs(2);

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pulse {
    last: Arc<Mutex<Instant>>,
    wake: Arc<Notify>,
    idle: Duration,
}

impl Pulse {
    pub(crate) fn new(idle_interval_ms: u64) -> Self {
        let idle = Duration::from_millis(idle_interval_ms);
        Self { last: Arc::new(Mutex::new(Instant::now())), wake: Arc::default(), idle }
    }

    /// An input came.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.wake.notify_waiters();
    }

    /// Waits for the interval; while nothing happens for longer, but not past `at_most`.
    pub(crate) async fn pause(&self, interval: Duration, at_most: Option<Duration>) {
        sleep(interval).await;
        let longest = at_most.map_or(self.idle, |at_most| at_most.min(self.idle)).saturating_sub(interval);
        let woken = self.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let is_awake = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < AWAKE;
        if !is_awake && timeout(longest, woken).await.is_ok() {
            sleep(interval).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);

    async fn pause(pulse: &Pulse, at_most_ms: Option<u64>) -> u128 {
        let began = Instant::now();
        pulse.pause(INTERVAL, at_most_ms.map(Duration::from_millis)).await;
        began.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_happens_it_is_looked_rarely_and_no_later_than_asked_for() {
        let pulse = Pulse::new(5_000);
        assert_eq!(pause(&pulse, None).await, 200);
        sleep(AWAKE).await;
        assert_eq!(pause(&pulse, None).await, 5_000);
        assert_eq!(pause(&pulse, Some(1_500)).await, 1_500);
        assert_eq!(pause(&pulse, Some(10)).await, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn an_input_wakes_whoever_sleeps_and_keeps_it_awake() {
        let pulse = Pulse::new(5_000);
        sleep(AWAKE).await;
        let (slept, ()) = tokio::join!(pause(&pulse, None), async {
            sleep(Duration::from_millis(1_000)).await;
            pulse.beat();
        });
        assert_eq!(slept, 1_200, "an interval later, so that the input is committed");
        assert_eq!(pause(&pulse, None).await, 200);
    }
}
