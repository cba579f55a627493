//! Tells waiting callers that a saga has ended, and how.
//!
//! Whoever ends a saga in this process tells them at once. A saga that another process has ended is found by a look
//! into the database, one for all who have waited for a while, rarer for who has waited long, and none while the saga
//! goes on here.
//!
//! Invariant: a caller who goes away leaves nothing behind; an ended saga is kept for nobody.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use amends_contract::SagaId;
use amends_engine::Saga;
use amends_store::Store;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::config::LoopsConfig;

/// The longest time between two looks into the database for a caller's saga; long for one who waits.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(500);
/// The next look comes when a caller has waited for so much of its wait again: so much later than it ended, at most,
/// a saga is found that another process has ended.
const WAITS_PER_LOOK: u32 = 4;

#[derive(Clone)]
pub(crate) struct Settled {
    waiting: Arc<Mutex<HashMap<SagaId, Waiting>>>,
    /// Somebody waits who was not there before.
    wake: Arc<Notify>,
    admission: Admission,
    /// Before the first look, and between two.
    look_every_min: Duration,
}

struct Waiting {
    since: Instant,
    look_at: Instant,
    callers: Vec<oneshot::Sender<Arc<Saga>>>,
}

/// A caller's wait for one saga.
pub(crate) struct Watch {
    settled: Settled,
    saga: SagaId,
    end: oneshot::Receiver<Arc<Saga>>,
}

impl Settled {
    /// `shared`: whether other processes end sagas, too.
    pub(crate) fn new(admission: &Admission, config: &LoopsConfig, shared: bool) -> Self {
        let look_every_min = Duration::from_millis(config.settled_interval_ms.max(1));
        let look_every_min = if shared { look_every_min.min(LOOK_EVERY_MAX) } else { LOOK_EVERY_MAX };
        Self { waiting: Arc::default(), wake: Arc::default(), admission: admission.clone(), look_every_min }
    }

    /// Begins to wait for the end of the saga; best before it begins, so that it cannot be missed.
    pub(crate) fn watch(&self, saga: SagaId) -> Watch {
        let (tell, end) = oneshot::channel();
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        let begin = || {
            let since = Instant::now();
            Waiting { since, look_at: since + self.look_every_min, callers: Vec::new() }
        };
        waiting.entry(saga).or_insert_with(begin).callers.push(tell);
        drop(waiting);
        if is_first {
            self.wake.notify_one();
        }
        Watch { settled: self.clone(), saga, end }
    }

    /// The saga has ended, by a commit of this process.
    pub(crate) fn notify(&self, saga: &Arc<Saga>) {
        self.admission.ended();
        self.tell(saga);
    }

    /// The saga goes on, by a commit of this process: until another has had time to end it there is nothing to look for.
    pub(crate) fn moved(&self, saga: SagaId) {
        if let Some(entry) = self.waiting().get_mut(&saga) {
            entry.look_at = entry.look_at.max(Instant::now() + self.look_every_min);
        }
    }

    fn tell(&self, saga: &Arc<Saga>) {
        let Some(Waiting { callers, .. }) = self.waiting().remove(&saga.id) else { return };
        for caller in callers {
            let _ = caller.send(Arc::clone(saga));
        }
    }

    fn forget_the_gone(&self, saga: SagaId) {
        let mut waiting = self.waiting();
        if let Some(entry) = waiting.get_mut(&saga) {
            entry.callers.retain(|caller| !caller.is_closed());
            if entry.callers.is_empty() {
                waiting.remove(&saga);
            }
        }
    }

    /// Looks for sagas that others have ended, until shutdown.
    pub(crate) async fn look(self, store: Store, shutdown: CancellationToken) {
        let look = async {
            loop {
                if self.waiting().is_empty() {
                    self.wake.notified().await;
                }
                sleep(self.look_every_min).await;
                let ids = self.to_be_looked_for(Instant::now());
                if ids.is_empty() {
                    continue;
                }
                match store.ended_of(&ids).await {
                    Ok(sagas) => sagas.into_iter().for_each(|saga| self.tell(&Arc::new(saga))),
                    Err(error) => tracing::debug!(%error, "waiting callers wait for the database, too"),
                }
            }
        };
        let _ = shutdown.run_until_cancelled(look).await;
    }

    /// Those whose time it is, which comes again later.
    fn to_be_looked_for(&self, now: Instant) -> Vec<SagaId> {
        let mut waiting = self.waiting();
        let due = waiting.iter_mut().filter(|(_, entry)| entry.look_at <= now);
        due.map(|(saga, entry)| {
            let waited = now.duration_since(entry.since) / WAITS_PER_LOOK;
            entry.look_at = now + waited.clamp(self.look_every_min, LOOK_EVERY_MAX);
            *saga
        })
        .collect()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<SagaId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// The saga as it ended; `None` when it has not within that time.
    pub(crate) async fn end(mut self, within: Duration) -> Option<Arc<Saga>> {
        tokio::time::timeout(within, &mut self.end).await.ok()?.ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.close();
        self.settled.forget_the_gone(self.saga);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::saga;

    #[tokio::test]
    async fn the_longer_somebody_waits_the_rarer_the_database_is_asked() {
        let config = LoopsConfig { settled_interval_ms: 50, ..LoopsConfig::default() };
        let looks = |shared: bool, until_ms: u64| {
            let settled = Settled::new(&Admission::new(&config), &config, shared);
            let watch = settled.watch(saga(1).id);
            let began = settled.waiting()[&watch.saga].since;
            let is_asked =
                |ms: &u64| !settled.to_be_looked_for(began + Duration::from_millis(*ms)).is_empty();
            (0..=until_ms).step_by(10).filter(is_asked).collect::<Vec<_>>()
        };
        assert_eq!(looks(true, 600), [50, 100, 150, 200, 250, 320, 400, 500]);
        assert_eq!(looks(true, 60_000).last_chunk(), Some(&[58_930, 59_430, 59_930]));
        assert_eq!(looks(false, 1_600), [500, 1_000, 1_500], "nobody else can have ended it");
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_here_has_not_been_ended_elsewhere() {
        let config = LoopsConfig { settled_interval_ms: 50, ..LoopsConfig::default() };
        let settled = Settled::new(&Admission::new(&config), &config, true);
        let (moving, resting) = (settled.watch(saga(1).id), settled.watch(saga(2).id));
        let began = settled.waiting()[&moving.saga].since;
        tokio::time::advance(Duration::from_millis(40)).await;
        settled.moved(moving.saga);
        settled.moved(saga(3).id);
        let looked_for = |ms| settled.to_be_looked_for(began + Duration::from_millis(ms));
        assert_eq!(looked_for(80), [resting.saga]);
        let mut both = looked_for(200);
        both.sort_unstable();
        assert_eq!(both, [moving.saga, resting.saga]);
    }

    #[tokio::test]
    async fn nobody_is_looked_for_who_has_gone_or_been_told() {
        let config = LoopsConfig::default();
        let settled = Settled::new(&Admission::new(&config), &config, true);
        let (first, second) = (Arc::new(saga(1)), Arc::new(saga(2)));
        let (told, gone) = (settled.watch(first.id), settled.watch(second.id));
        drop(gone);
        settled.notify(&first);
        assert_eq!(settled.to_be_looked_for(Instant::now() + LOOK_EVERY_MAX), []);
        assert_eq!(told.end(Duration::ZERO).await, Some(first));
    }
}
