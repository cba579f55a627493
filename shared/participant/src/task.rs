//! A command on its way through the participant, and the delivery it came in.
//!
//! Invariant: a delivery is acknowledged once, when everything in it has been answered and the broker
//! has the answers; what cannot be answered leaves it unacknowledged, and it comes again.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use amends_broker::Delivery;
use amends_contract::{Cause, Command};
use amends_planted::{Bug, planted};

use amends_crash as crash;

/// What can be acknowledged.
pub(crate) trait Acknowledge: Send + Sync {
    /// It need not come again.
    fn ack(&self);
    /// It is being worked on.
    fn progress(&self);
}

impl Acknowledge for Delivery {
    fn ack(&self) {
        Self::ack(self);
    }

    fn progress(&self) {
        Self::progress(self);
    }
}

/// A delivery with the number of its messages that still want an answer. (It may hold a batch.)
pub(crate) struct Parcel {
    delivery: Box<dyn Acknowledge>,
    open: AtomicUsize,
}

impl Parcel {
    pub(crate) fn new(delivery: Box<dyn Acknowledge>, messages: usize) -> Arc<Self> {
        if planted(Bug::AcksCommandsEarly) {
            delivery.ack();
        }
        Arc::new(Self { delivery, open: AtomicUsize::new(messages) })
    }

    /// One of its messages has been answered, and the broker has the answer.
    pub(crate) fn answered(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            crash::point(crash::BEFORE_ACK);
            self.delivery.ack();
        }
    }

    /// Keeps it from coming again while we are at it.
    pub(crate) fn progress(&self) {
        self.delivery.progress();
    }
}

/// A command to be handled.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) command: Command,
    /// Which delivery of which stored message it is.
    pub(crate) cause: Option<Cause>,
    pub(crate) traceparent: Option<String>,
    /// Who waits for the answer; `None` when we ask ourselves.
    pub(crate) parcel: Option<Arc<Parcel>>,
}
