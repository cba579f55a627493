//! The load: so many orders under way at any time (a closed loop), or so many a second (an open one).
//!
//! The first are not counted. In an open loop an order's time runs from the moment at which it was to be sent, not
//! from when somebody got round to it: else a system that stands still would look fast.
//!
//! Invariant: every order that is begun is followed to its end, after the measurement, too.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use anyhow::bail;

use crate::{
    door::{Answer, Door, Said},
    latency::Latency,
    orders::{Fate, Orders},
};

/// How long it takes until an order that was refused, or has not ended in time, is asked for again.
const AGAIN: Duration = Duration::from_millis(100);
/// When nothing was answered for so long, nothing will be.
const STUCK: Duration = Duration::from_secs(90);

/// How orders come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So many are under way.
    Closed(usize),
    /// So many come in a second, whatever becomes of them.
    Open(u64),
}

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// Orders that end before it counts.
    pub(crate) warm_up: u64,
    /// Orders that end while it counts.
    pub(crate) counted: u64,
    /// It counts for so long at most.
    pub(crate) longest: Duration,
}

/// What is told while it goes on.
pub(crate) trait Watch {
    /// From now on it counts.
    fn begun(&mut self);
    /// It counts no more.
    fn ended(&mut self);
}

/// Nothing is looked at.
pub(crate) struct Unwatched;

impl Watch for Unwatched {
    fn begun(&mut self) {}
    fn ended(&mut self) {}
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Orders that ended while it counted.
    pub(crate) counted: u64,
    /// For how long it counted.
    pub(crate) lasted: Duration,
    pub(crate) latency: Latency,
    /// All orders that were begun, the uncounted ones, too.
    pub(crate) begun: u64,
    /// How often one was refused while it counted, because there was too much to do.
    pub(crate) refused: u64,
    /// How often one had not ended within the longest wait while it counted.
    pub(crate) overdue: u64,
    /// What should not have happened, up to some.
    pub(crate) wrong: Vec<String>,
}

/// A load on a door.
pub(crate) struct Load<'a> {
    door: &'a mut Door,
    orders: &'a Orders,
    pace: Pace,
    amount: Amount,
    /// When each order that is under way was to be sent.
    under_way: HashMap<u64, Instant>,
    again: VecDeque<(Instant, u64)>,
    next: u64,
    started: Instant,
    finished: u64,
    counting: Option<Instant>,
    seen: Seen,
}

impl<'a> Load<'a> {
    /// `first` is the number of the first order; numbers before it were used.
    pub(crate) fn new(
        door: &'a mut Door,
        orders: &'a Orders,
        first: u64,
        pace: Pace,
        amount: Amount,
    ) -> Self {
        let seen = Seen {
            counted: 0,
            lasted: Duration::ZERO,
            latency: Latency::new(),
            begun: 0,
            refused: 0,
            overdue: 0,
            wrong: Vec::new(),
        };
        Self {
            door,
            orders,
            pace,
            amount,
            under_way: HashMap::new(),
            again: VecDeque::new(),
            next: first,
            started: Instant::now(),
            finished: 0,
            counting: None,
            seen,
        }
    }

    /// Carries it out.
    pub(crate) async fn run(mut self, watch: &mut impl Watch) -> anyhow::Result<Seen> {
        let mut answers = Vec::new();
        self.started = Instant::now();
        let mut moved = self.started;
        let mut is_over = false;
        loop {
            let now = Instant::now();
            if !is_over {
                is_over = self.turn(now, watch);
            }
            self.send(now, is_over);
            self.door.flush().await?;
            if is_over && self.under_way.is_empty() {
                return Ok(self.seen);
            }
            if moved.elapsed() > STUCK {
                bail!(
                    "stuck: {} orders are under way and none has ended for {STUCK:?}",
                    self.under_way.len()
                );
            }
            let wakes = self.wakes(now);
            tokio::select! {
                answered = self.door.answers(&mut answers) => answered?,
                () = tokio::time::sleep_until(wakes.into()) => {}
            }
            let now = Instant::now();
            for answer in answers.drain(..) {
                moved = now;
                self.hear(&answer, now);
            }
        }
    }

    /// Begins to count, and stops; `true` when it is over.
    fn turn(&mut self, now: Instant, watch: &mut impl Watch) -> bool {
        let Some(since) = self.counting else {
            if self.finished >= self.amount.warm_up {
                watch.begun();
                self.counting = Some(Instant::now());
            }
            return false;
        };
        let is_over = self.seen.counted >= self.amount.counted || now - since >= self.amount.longest;
        if is_over {
            self.seen.lasted = since.elapsed();
            watch.ended();
            self.counting = None;
        }
        is_over
    }

    fn send(&mut self, now: Instant, is_over: bool) {
        while self.again.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, number)) = self.again.pop_front() {
                self.push(number);
            }
        }
        while !is_over && self.is_due(now) {
            let number = self.next;
            let intended = match self.pace {
                Pace::Closed(_) => Instant::now(),
                Pace::Open(_) => self.due(),
            };
            self.under_way.insert(number, intended);
            self.next += 1;
            self.seen.begun += 1;
            self.push(number);
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        match self.pace {
            Pace::Closed(count) => self.under_way.len() < count,
            Pace::Open(_) => self.due() <= now,
        }
    }

    /// When the next order of an open loop is to be sent.
    fn due(&self) -> Instant {
        match self.pace {
            Pace::Closed(_) => self.started + Duration::from_secs(3_600),
            Pace::Open(per_second) => {
                self.started + Duration::from_nanos(self.seen.begun * (1_000_000_000 / per_second.max(1)))
            }
        }
    }

    /// When to look again although nobody answers.
    fn wakes(&self, now: Instant) -> Instant {
        let again = self.again.front().map(|(at, _)| *at);
        let due = Some(self.due());
        // The end of the longest measurement is seen without an answer, too.
        [again, due, Some(now + AGAIN)].into_iter().flatten().min().unwrap_or(now)
    }

    fn push(&mut self, number: u64) {
        let (body, key) = match self.door {
            Door::Subject(_) => (self.orders.as_request(number), String::new()),
            Door::Rest(_) => (Orders::as_body(number), self.orders.key(number)),
        };
        self.door.push(number, body, &key);
    }

    fn hear(&mut self, answer: &Answer, now: Instant) {
        let number = answer.number;
        match answer.said() {
            Said::Ended { completed, id } => {
                let fate = if completed { Fate::Completed } else { Fate::Compensated };
                if fate != Orders::fate(number) {
                    self.wrong(format!("{id}: order {number} ended as {fate:?}"));
                }
                self.end(number, now);
            }
            Said::Accepted { .. } => {
                self.seen.overdue += u64::from(self.counting.is_some());
                self.again.push_back((now + AGAIN, number));
            }
            Said::Refused { .. } => {
                self.seen.refused += u64::from(self.counting.is_some());
                self.again.push_back((now + AGAIN, number));
            }
            Said::Wrong(what) => {
                self.wrong(format!("order {number}: {what}"));
                self.end(number, now);
            }
        }
    }

    fn end(&mut self, number: u64, now: Instant) {
        let Some(intended) = self.under_way.remove(&number) else { return };
        self.finished += 1;
        if self.counting.is_some() {
            self.seen.counted += 1;
            self.seen.latency.record(now.saturating_duration_since(intended));
        }
    }

    fn wrong(&mut self, what: String) {
        const KEPT: usize = 20;
        if self.seen.wrong.len() < KEPT {
            self.seen.wrong.push(what);
        }
    }
}
