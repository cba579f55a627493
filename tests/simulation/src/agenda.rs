//! What will happen, and when: the virtual clock.
//!
//! Invariant: time only goes forward, and events of one moment happen in the order in which they were
//! entered.

use std::collections::BTreeMap;

use amends_contract::Timestamp;

/// Events in the order of their time.
#[derive(Debug)]
pub(crate) struct Agenda<E> {
    now: Timestamp,
    count: u64,
    events: BTreeMap<(Timestamp, u64), Entry<E>>,
    /// Events that are not mere ticks.
    news: usize,
}

#[derive(Debug)]
struct Entry<E> {
    event: E,
    is_tick: bool,
}

impl<E> Agenda<E> {
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { now, count: 0, events: BTreeMap::new(), news: 0 }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    /// Enters an event `after_ms` from now.
    pub(crate) fn enter(&mut self, after_ms: u64, event: E) {
        self.news += 1;
        self.put(after_ms, event, false);
    }

    /// Enters an event that comes round for ever, and means nothing by itself.
    pub(crate) fn tick(&mut self, after_ms: u64, event: E) {
        self.put(after_ms, event, true);
    }

    fn put(&mut self, after_ms: u64, event: E, is_tick: bool) {
        self.count += 1;
        self.events.insert((self.now.plus_ms(after_ms), self.count), Entry { event, is_tick });
    }

    /// The next event; it is then its time.
    pub(crate) fn next(&mut self) -> Option<E> {
        let ((at, _), Entry { event, is_tick }) = self.events.pop_first()?;
        self.now = at;
        self.news -= usize::from(!is_tick);
        Some(event)
    }

    /// Whether only ticks are left.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.news == 0
    }
}
