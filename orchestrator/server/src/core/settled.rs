//! Tells waiting callers that a saga has ended, and how.
//!
//! Whoever ends a saga in this process tells them at once. A saga that another process has ended is found by a look
//! into the database, one for all who have waited for a while.
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

/// How long a caller waits before the database is asked for its saga, and how often it is asked then.
const LOOK_EVERY: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub(crate) struct Settled {
    waiting: Arc<Mutex<HashMap<SagaId, Waiting>>>,
    /// Somebody waits who was not there before.
    wake: Arc<Notify>,
    admission: Admission,
}

struct Waiting {
    since: Instant,
    callers: Vec<oneshot::Sender<Arc<Saga>>>,
}

/// A caller's wait for one saga.
pub(crate) struct Watch {
    settled: Settled,
    saga: SagaId,
    end: oneshot::Receiver<Arc<Saga>>,
}

impl Settled {
    pub(crate) fn new(admission: &Admission) -> Self {
        Self { waiting: Arc::default(), wake: Arc::default(), admission: admission.clone() }
    }

    /// Begins to wait for the end of the saga; best before it begins, so that it cannot be missed.
    pub(crate) fn watch(&self, saga: SagaId) -> Watch {
        let (tell, end) = oneshot::channel();
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        let entry =
            waiting.entry(saga).or_insert_with(|| Waiting { since: Instant::now(), callers: Vec::new() });
        entry.callers.push(tell);
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
                sleep(LOOK_EVERY).await;
                let ids = self.awaited_for_long();
                match store.ended_of(&ids).await {
                    Ok(sagas) => sagas.into_iter().for_each(|saga| self.tell(&Arc::new(saga))),
                    Err(error) => tracing::debug!(%error, "waiting callers wait for the database, too"),
                }
            }
        };
        let _ = shutdown.run_until_cancelled(look).await;
    }

    fn awaited_for_long(&self) -> Vec<SagaId> {
        let waiting = self.waiting();
        let for_long = waiting.iter().filter(|(_, entry)| entry.since.elapsed() >= LOOK_EVERY);
        for_long.map(|(saga, _)| *saga).collect()
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
