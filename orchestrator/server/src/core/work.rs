//! What waits for the next commit, and who is told afterwards.
//!
//! Invariant: a delivery is acknowledged only when everything it brought is committed or set aside.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends_broker::Delivery;
use amends_contract::{Part, Reply, SagaId, StepRef};
use amends_definition::Definition;
use amends_engine::{Begin, Input, ReplyInput, Saga};
use amends_planted::{Bug, planted};
use amends_store::IdempotencyKey;
use tokio::sync::oneshot;

use super::conditions::Conditions;
use super::{CoreError, OperateError, Started};

/// One input of one saga.
pub(crate) struct Work {
    pub(crate) saga: SagaId,
    pub(crate) task: Task,
    /// How often it has lost to a concurrent commit.
    pub(crate) tries: u32,
    /// Whether an earlier try may have been committed without our hearing of it.
    pub(crate) uncertain: bool,
}

impl Work {
    pub(crate) const fn new(saga: SagaId, task: Task) -> Self {
        Self { saga, task, tries: 0, uncertain: false }
    }
}

/// Where an input comes from, with what answers it.
pub(crate) enum Task {
    Start(Box<StartTask>),
    /// An operator's action or a signal: whoever brought it waits for the commit.
    Operate {
        input: Box<Input>,
        answer: Answer<Saga, OperateError>,
    },
    Reply {
        reply: Box<Reply>,
        receipt: Arc<Receipt>,
        /// Where in the delivery it stands.
        part: Part,
    },
    /// What a saga says to the one of which it is a step. The timers ask for it again if it gets lost.
    Child(Box<ReplyInput>),
    Timer(Due),
}

pub(crate) type Answer<T, E> = oneshot::Sender<Result<T, E>>;

/// A saga to be started.
pub(crate) struct StartTask {
    pub(crate) definition: Arc<Definition>,
    pub(crate) begin: Begin,
    pub(crate) idempotency: Option<IdempotencyKey>,
    pub(crate) answer: Answer<Started, CoreError>,
}

/// A saga whose time has come, or that is let go, as it was when it was claimed.
pub(crate) struct Due {
    /// Dropped when another input of the same saga comes first.
    pub(crate) claimed: Option<Box<Saga>>,
    pub(crate) conditions: Arc<Conditions>,
    /// Steps that were given a place of their `concurrency`.
    pub(crate) slots: BTreeSet<StepRef>,
    /// It has not been waited for: what held the saga is over.
    pub(crate) released: bool,
}

/// The acknowledgement of one delivery, due when all the messages it brought are dealt with.
pub(crate) struct Receipt {
    delivery: Delivery,
    open: AtomicUsize,
}

impl Receipt {
    /// For a delivery that brought `messages` messages.
    pub(crate) fn new(delivery: Delivery, messages: usize) -> Arc<Self> {
        if planted(Bug::AcksRepliesEarly) {
            delivery.ack();
        }
        Arc::new(Self { delivery, open: AtomicUsize::new(messages) })
    }

    /// Whether the broker has delivered it before.
    pub(crate) fn redelivered(&self) -> bool {
        self.delivery.delivered > 1
    }

    pub(crate) const fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// One of its messages is dealt with; the last one acknowledges.
    pub(crate) fn done(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.delivery.ack();
        }
    }

    /// Asks for the whole delivery again, `ms` milliseconds later.
    pub(crate) fn again_after(&self, ms: u64) {
        self.delivery.nak_after(ms);
    }
}
