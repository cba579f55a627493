//! Tells waiting callers that a saga has ended.
//!
//! Only a hint: whoever waits also looks into the database now and then, since another process may have
//! ended the saga.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use amends_contract::SagaId;
use tokio::sync::Notify;

#[derive(Clone, Default)]
pub(crate) struct Settled {
    /// Weak, so that a caller who goes away leaves nothing behind but an entry for the next sweep.
    waiting: Arc<Mutex<HashMap<SagaId, Vec<std::sync::Weak<Notify>>>>>,
}

impl Settled {
    /// A notification for the end of the saga; it is remembered if it comes before it is awaited.
    pub(crate) fn watch(&self, saga: SagaId) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = waiting.entry(saga).or_default();
        entry.retain(|other| other.strong_count() > 0);
        entry.push(Arc::downgrade(&notify));
        notify
    }

    /// Forgets the callers of this saga who have gone away.
    pub(crate) fn unwatch(&self, saga: SagaId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = waiting.get_mut(&saga) {
            entry.retain(|other| other.strong_count() > 0);
            if entry.is_empty() {
                waiting.remove(&saga);
            }
        }
    }

    /// The saga has ended.
    pub(crate) fn notify(&self, saga: SagaId) {
        let entry = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&saga);
        for notify in entry.into_iter().flatten().filter_map(|weak| weak.upgrade()) {
            notify.notify_one();
        }
    }
}
