//! Sagas as this process left them, so that their next input needs no look into the database.
//!
//! Invariant: what is remembered may be out of date, since another process may have gone on with the saga. Only
//! a commit that wins proves that it was not; what else is decided about it is decided again.

use std::sync::Arc;

use amends_contract::SagaId;
use amends_engine::Saga;
use lru::LruCache;

/// The sagas committed last, up to a number of bytes.
pub(crate) struct Recent {
    sagas: LruCache<SagaId, Kept>,
    bytes: usize,
    bytes_max: usize,
}

struct Kept {
    saga: Arc<Saga>,
    bytes: usize,
}

impl Recent {
    /// Remembers sagas of about `bytes_max` bytes together; nothing at 0.
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { sagas: LruCache::unbounded(), bytes: 0, bytes_max }
    }

    /// Takes the saga out: what is decided about it makes it another one.
    pub(crate) fn take(&mut self, id: SagaId) -> Option<Saga> {
        let kept = self.sagas.pop(&id)?;
        self.bytes -= kept.bytes;
        Some(Arc::unwrap_or_clone(kept.saga))
    }

    /// Remembers the saga as it was committed, at the cost of those that nothing came for the longest.
    pub(crate) fn keep(&mut self, saga: &Arc<Saga>) {
        let bytes = saga.memory_bytes();
        if bytes > self.bytes_max {
            return;
        }
        self.bytes += bytes;
        if let Some(before) = self.sagas.put(saga.id, Kept { saga: Arc::clone(saga), bytes }) {
            self.bytes -= before.bytes;
        }
        while self.bytes > self.bytes_max
            && let Some((_, oldest)) = self.sagas.pop_lru()
        {
            self.bytes -= oldest.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::saga;

    #[test]
    fn a_saga_is_remembered_as_it_was_left_and_once() {
        let mut recent = Recent::new(1 << 20);
        let (first, second) = (Arc::new(saga(1)), Arc::new(saga(2)));
        recent.keep(&first);
        recent.keep(&second);
        assert_eq!(recent.take(first.id).as_ref(), Some(&*first));
        assert_eq!(recent.take(first.id), None);
        recent.keep(&second);
        assert_eq!(recent.bytes, second.memory_bytes());
    }

    #[test]
    fn those_that_nothing_came_for_the_longest_are_forgotten_first() {
        let sagas: Vec<_> = (1..=3).map(|number| Arc::new(saga(number))).collect();
        let mut recent = Recent::new(2 * saga(1).memory_bytes() + 1);
        sagas.iter().for_each(|saga| recent.keep(saga));
        assert_eq!(recent.take(sagas[0].id), None);
        assert!(recent.take(sagas[1].id).is_some() && recent.take(sagas[2].id).is_some());
        assert_eq!(recent.bytes, 0);
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_room() {
        let mut recent = Recent::new(0);
        recent.keep(&Arc::new(saga(1)));
        assert_eq!(recent.bytes, 0);
        assert_eq!(recent.sagas.len(), 0);
    }
}
