//! The book of messages that were sent and wait for the broker's acknowledgement.
//!
//! All of them answer to one inbox of ours, `<inbox>.<batch>.<slot>`: one subscription and one wake-up
//! per batch instead of a future, a timer and a request per message, which cost a third of the speed.
//!
//! A message may go without an acknowledgement of its own; then a later one of its batch stands for it.
//!
//! Invariant: permits out = messages that acknowledgements stand for which were asked for and neither came nor were
//! given up.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use amends_contract::{Names, Stream};
use async_nats::{Client, Message, StatusCode, Subject, jetstream};
use futures::StreamExt as _;
use metrics::{Counter, counter};
use serde::Deserialize;
use tokio::sync::{Notify, Semaphore};

use crate::{Error, PublishError, config::ms, meter};

/// What the broker says about a message that it stored, or had stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the stream.
    pub seq: u64,
    /// The broker knew the message id, and this is the earlier message's number.
    pub duplicate: bool,
}

pub(crate) type Answer = Result<Stored, PublishError>;

pub(crate) struct Ledger {
    inbox: String,
    meters: Vec<Meter>,
    open: Mutex<Open>,
    permits: Semaphore,
}

/// The counters of one stream.
struct Meter {
    stream: String,
    published: Counter,
    duplicates: Counter,
}

#[derive(Default)]
struct Open {
    next: u64,
    batches: HashMap<u64, Batch>,
}

struct Batch {
    answers: Vec<Option<Answer>>,
    /// How many messages the answer in a slot stands for, where that is more than its own.
    groups: HashMap<usize, usize>,
    /// How many answers have come from the broker.
    answered: usize,
    /// How many messages these stand for.
    settled: usize,
    /// How many will, once that is known.
    expected: Option<usize>,
    complete: Arc<Notify>,
}

impl Ledger {
    pub(crate) fn new(names: &Names, client: &Client, outstanding_max: usize) -> Arc<Self> {
        let meters = Stream::ALL.map(|stream| Meter {
            stream: names.stream(stream),
            published: counter!(meter::PUBLISHED, "stream" => stream.token()),
            duplicates: counter!(meter::PUBLISH_DUPLICATES, "stream" => stream.token()),
        });
        Arc::new(Self {
            inbox: client.new_inbox(),
            meters: meters.into(),
            open: Mutex::default(),
            permits: Semaphore::new(outstanding_max.clamp(1, Semaphore::MAX_PERMITS)),
        })
    }

    /// Subscribes to the inbox and starts the task that reads it; it ends with the client.
    pub(crate) async fn attach(self: &Arc<Self>, client: &Client) -> Result<(), Error> {
        let answers = client
            .subscribe(format!("{}.>", self.inbox))
            .await
            .map_err(|error| Error::Unavailable(format!("cannot subscribe to our own inbox: {error}")))?;
        let ledger = Arc::clone(self);
        tokio::spawn(answers.for_each(move |message| {
            ledger.enter(&message);
            std::future::ready(())
        }));
        Ok(())
    }

    /// Opens a page for `slots` messages.
    pub(crate) fn batch(self: &Arc<Self>, slots: usize) -> Page {
        let complete = Arc::new(Notify::new());
        let batch = Batch {
            answers: vec![None; slots],
            groups: HashMap::new(),
            answered: 0,
            settled: 0,
            expected: None,
            complete: Arc::clone(&complete),
        };
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        open.batches.insert(id, batch);
        drop(open);
        Page {
            ledger: Arc::clone(self),
            id,
            slots,
            asked: 0,
            permits: 0,
            unanswered: Vec::new(),
            groups: Vec::new(),
            local: Vec::new(),
            complete,
        }
    }

    /// Takes one answer of the broker. Late and foreign ones find no slot, and are dropped.
    fn enter(&self, message: &Message) {
        let Some((batch, slot)) = self.slot(message.subject.as_str()) else { return };
        let mut open = self.lock();
        let Some(batch) = open.batches.get_mut(&batch) else { return };
        let messages = batch.groups.get(&slot).copied().unwrap_or(1);
        match batch.answers.get_mut(slot) {
            Some(empty @ None) => *empty = Some(self.read(message, messages)),
            _ => return,
        }
        batch.answered += 1;
        batch.settled += messages;
        if batch.expected == Some(batch.answered) {
            batch.complete.notify_one();
        }
        drop(open);
        self.permits.add_permits(messages);
    }

    /// What the broker says of so many messages.
    fn read(&self, message: &Message, messages: usize) -> Answer {
        if message.status == Some(StatusCode::NO_RESPONDERS) {
            return Err(PublishError::Unavailable("no stream takes the message".to_owned()));
        }
        let body: Body<'_> = serde_json::from_slice(&message.payload)
            .map_err(|error| PublishError::Unavailable(format!("unreadable acknowledgement: {error}")))?;
        if let Some(error) = body.error {
            return Err(PublishError::answered(&error));
        }
        if let Some(meter) = self.meters.iter().find(|meter| meter.stream == body.stream) {
            if body.duplicate { &meter.duplicates } else { &meter.published }.increment(messages as u64);
        }
        Ok(Stored { seq: body.seq, duplicate: body.duplicate })
    }

    fn slot(&self, subject: &str) -> Option<(u64, usize)> {
        let (batch, slot) = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?.split_once('.')?;
        Some((batch.parse().ok()?, slot.parse().ok()?))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing under this lock can panic half-way.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The page of one batch. Dropping it gives its unanswered messages up and returns their permits.
pub(crate) struct Page {
    ledger: Arc<Ledger>,
    id: u64,
    slots: usize,
    /// Acknowledgements asked for.
    asked: usize,
    /// Permits taken.
    permits: usize,
    /// Slots of messages that were sent and that no acknowledgement stands for so far.
    unanswered: Vec<usize>,
    /// Slots with those that their answers stand for.
    groups: Vec<(usize, Vec<usize>)>,
    local: Vec<(usize, PublishError)>,
    complete: Arc<Notify>,
}

impl Page {
    /// How many messages wait for one whose acknowledgement stands for them.
    pub(crate) const fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// The message in this slot goes without an acknowledgement of its own.
    pub(crate) fn send_unanswered(&mut self, slot: usize) {
        self.unanswered.push(slot);
    }

    /// Waits for permits, and says where the acknowledgement of this slot shall go. With `for_others` it stands for
    /// those before it that have none, too.
    pub(crate) async fn send_slot(&mut self, slot: usize, for_others: bool) -> Subject {
        let messages = 1 + if for_others { self.unanswered.len() } else { 0 };
        // All at once: who held some and waited for more could wait for another one like it.
        if let Ok(permits) =
            self.ledger.permits.acquire_many(u32::try_from(messages).unwrap_or(u32::MAX)).await
        {
            permits.forget();
        }
        self.asked += 1;
        self.permits += messages;
        if messages > 1 {
            self.groups.push((slot, std::mem::take(&mut self.unanswered)));
            if let Some(batch) = self.ledger.lock().batches.get_mut(&self.id) {
                batch.groups.insert(slot, messages);
            }
        }
        Subject::from(format!("{}.{}.{slot}", self.ledger.inbox, self.id))
    }

    /// The message behind the latest `send_slot` or `send_unanswered` did not leave.
    pub(crate) fn unsend(&mut self, slot: usize, why: PublishError) {
        if self.unanswered.pop_if(|last| *last == slot).is_none() {
            let group = self.groups.pop_if(|(answered, _)| *answered == slot);
            let others = group.map(|(_, others)| others).unwrap_or_default();
            let messages = 1 + others.len();
            self.unanswered.extend(others);
            self.asked -= 1;
            self.permits -= messages;
            self.ledger.permits.add_permits(messages);
        }
        self.refuse(slot, why);
    }

    /// An answer that needs no broker.
    pub(crate) fn refuse(&mut self, slot: usize, why: PublishError) {
        self.local.push((slot, why));
    }

    /// All answers in order, waiting at most `timeout_ms` for those of the broker.
    pub(crate) async fn answers(mut self, timeout_ms: u64) -> Vec<Answer> {
        if self.open() {
            // Whether complete or late, what is there is taken.
            let _ = tokio::time::timeout(ms(timeout_ms), self.complete.notified()).await;
        }
        let mut answers = self.close();
        for (slot, others) in self.groups.drain(..) {
            let answer = answers.get(slot).cloned().flatten();
            for other in others {
                if let Some(empty) = answers.get_mut(other) {
                    empty.clone_from(&answer);
                }
            }
        }
        for (slot, why) in self.local.drain(..) {
            if let Some(answer) = answers.get_mut(slot) {
                *answer = Some(Err(why));
            }
        }
        answers.resize(self.slots, None);
        answers.into_iter().map(|answer| answer.unwrap_or(Err(PublishError::TimedOut(timeout_ms)))).collect()
    }

    /// Says how many answers are to come; whether some are missing yet.
    fn open(&self) -> bool {
        let mut open = self.ledger.lock();
        let Some(batch) = open.batches.get_mut(&self.id) else { return false };
        batch.expected = Some(self.asked);
        batch.answered < self.asked
    }

    fn close(&mut self) -> Vec<Option<Answer>> {
        let Some(batch) = self.ledger.lock().batches.remove(&self.id) else { return Vec::new() };
        self.ledger.permits.add_permits(self.permits - batch.settled);
        batch.answers
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.close();
    }
}

/// The body of an acknowledgement.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    duplicate: bool,
    #[serde(default)]
    error: Option<jetstream::Error>,
}
