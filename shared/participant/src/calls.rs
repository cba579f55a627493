//! Making the calls whose intents are committed: outside of transactions, a bounded number at a time.
//!
//! Who asked is answered with the outcome if it comes soon, else with `pending`, and the outcome follows
//! by itself. Invariant: a call is begun only by the process that its row belongs to, and its end is always
//! reported to [`settle`](crate::settle).

use std::{
    collections::{BTreeMap, btree_map::Entry},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use amends_contract::{Cause, Outcome};
use futures::FutureExt;
use metrics::gauge;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{sleep, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    CallOutcome, External, Intent,
    core::Core,
    domain, meter,
    post::Post,
    reply,
    task::{Parcel, Task},
};

/// A call to be made.
pub(crate) struct Call {
    pub(crate) intent: Intent,
    pub(crate) cause: Option<Cause>,
    pub(crate) external: Arc<dyn External>,
    /// Whether no call can have been made before.
    pub(crate) first: bool,
    /// Its place in memory.
    pub(crate) _room: OwnedSemaphorePermit,
}

/// A call that has ended.
pub(crate) struct Finished {
    pub(crate) call: Call,
    /// `None`: it was not begun.
    pub(crate) outcome: Option<CallOutcome>,
}

/// Who waits for the outcome of a call.
pub(crate) struct Asker {
    pub(crate) parcel: Arc<Parcel>,
    pub(crate) traceparent: Option<String>,
    /// The answer when it takes too long.
    pending: Vec<u8>,
}

/// The calls of this process.
pub(crate) struct Calls {
    core: Arc<Core>,
    post: Arc<Post>,
    /// By effect id: all calls that wait, run, or are being settled; with the one that is to follow.
    held: watch::Sender<BTreeMap<String, Option<Call>>>,
    /// By effect id.
    askers: Mutex<BTreeMap<String, Asker>>,
    running: Semaphore,
    tasks: TaskTracker,
    finished: mpsc::UnboundedSender<Finished>,
    shutdown: CancellationToken,
    /// Cancelled when nothing of it shall go on.
    killed: CancellationToken,
}

impl Calls {
    /// Makes the place for them; what ends is sent to `finished`.
    pub(crate) fn new(
        core: Arc<Core>,
        post: Arc<Post>,
        finished: mpsc::UnboundedSender<Finished>,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let running = Semaphore::new(core.config.calls_running_max.max(1));
        Arc::new(Self {
            core,
            post,
            held: watch::Sender::default(),
            askers: Mutex::default(),
            running,
            tasks: TaskTracker::new(),
            finished,
            shutdown,
            killed: CancellationToken::new(),
        })
    }

    /// Kills all calls when it is dropped.
    pub(crate) fn kill_on_drop(&self) -> DropGuard {
        self.killed.clone().drop_guard()
    }

    /// Makes a call for a command that asks for it.
    pub(crate) fn start_asked(self: &Arc<Self>, call: Call, task: Task) {
        if let Some(parcel) = task.parcel {
            let effect = call.intent.effect.to_string();
            let pending = reply::encode_plain(&self.core.name, &task.command, task.cause, &Outcome::Pending);
            lock(&self.askers)
                .insert(effect.clone(), Asker { parcel, traceparent: task.traceparent, pending });
            self.tasks.spawn(Arc::clone(self).answer_pending(effect));
        }
        self.start(call);
    }

    /// Makes a call; after the one that is in hand for the same effect, if there is one. Its row may be due
    /// again as soon as that one's end is committed, which is before it is let go.
    pub(crate) fn start(self: &Arc<Self>, call: Call) {
        let mut now = None;
        self.held.send_if_modified(|held| match held.entry(call.intent.effect.to_string()) {
            Entry::Vacant(place) => {
                place.insert(None);
                now = Some(call);
                true
            }
            Entry::Occupied(mut place) => {
                place.insert(Some(call));
                false
            }
        });
        if let Some(call) = now {
            gauge!(meter::CALLS_HELD).increment(1.0);
            self.tasks.spawn(Arc::clone(self).make(call));
        }
    }

    /// All effects whose calls this process has in hand.
    pub(crate) fn held(&self) -> Vec<String> {
        self.held.borrow().keys().cloned().collect()
    }

    /// Waits until this process has another call in hand, or fewer.
    pub(crate) fn changes(&self) -> watch::Receiver<BTreeMap<String, Option<Call>>> {
        self.held.subscribe()
    }

    /// A call is settled, or left for later; the one that waited for it is begun.
    pub(crate) fn let_go(self: &Arc<Self>, effect: &str) {
        let mut let_go = None;
        self.held.send_if_modified(|held| {
            let_go = held.remove(effect);
            let_go.is_some()
        });
        let Some(next) = let_go else { return };
        gauge!(meter::CALLS_HELD).decrement(1.0);
        if let Some(call) = next {
            self.start(call);
        }
    }

    /// Whether somebody still waits for the outcome.
    pub(crate) fn is_awaited(&self, effect: &str) -> bool {
        lock(&self.askers).contains_key(effect)
    }

    /// Who waits for the outcome and has not been answered `pending`.
    pub(crate) fn take_asker(&self, effect: &str) -> Option<Asker> {
        lock(&self.askers).remove(effect)
    }

    /// Waits for the calls that have begun, `drain_ms` at most.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        let longest = Duration::from_millis(self.core.config.drain_ms);
        if timeout(longest, self.tasks.wait()).await.is_err() {
            tracing::warn!("external calls were still running; their outcome will be found out");
            self.killed.cancel();
            self.tasks.wait().await;
        }
    }

    /// Waits until none is in hand.
    #[cfg(test)]
    pub(crate) async fn until_idle(&self) {
        let idle = self.held.subscribe().wait_for(BTreeMap::is_empty).await.map(drop);
        assert_eq!(idle.ok(), Some(()));
    }

    async fn make(self: Arc<Self>, call: Call) {
        let turn = tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            turn = self.running.acquire() => turn.ok(),
        };
        let outcome = match turn {
            Some(_turn) => tokio::select! {
                biased;
                () = self.killed.cancelled() => return,
                outcome = self.outcome(&call) => Some(outcome),
            },
            None => None,
        };
        // The receiver is gone only when the process is ending; the row is found open then.
        let _ = self.finished.send(Finished { call, outcome });
    }

    async fn outcome(&self, call: &Call) -> CallOutcome {
        let intent = &call.intent;
        let future = if call.first { call.external.call(intent) } else { call.external.recover(intent) };
        let longest = Duration::from_millis(self.core.config.call_timeout_ms);
        match timeout(longest, AssertUnwindSafe(future).catch_unwind()).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => {
                let why = domain::panicked(&*panic);
                tracing::error!(effect = %intent.effect, %why, "an external call");
                CallOutcome::Unknown { code: "panic".to_owned(), retry_after_ms: None }
            }
            Err(_) => CallOutcome::Unknown { code: "timeout".to_owned(), retry_after_ms: None },
        }
    }

    async fn answer_pending(self: Arc<Self>, effect: String) {
        tokio::select! {
            // Unanswered, the command comes again, to whoever lives then.
            () = self.shutdown.cancelled() => return,
            () = self.killed.cancelled() => return,
            () = sleep(Duration::from_millis(self.core.config.pending_after_ms)) => {}
        }
        if let Some(asker) = self.take_asker(&effect) {
            metrics::counter!(meter::ANSWERED, "outcome" => Outcome::Pending.name()).increment(1);
            let letter = self.post.reply(asker.pending, asker.traceparent, Some(asker.parcel));
            self.post.send(vec![letter]).await;
        }
    }
}

/// The data is whole after every statement, so a panic in between has harmed nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
