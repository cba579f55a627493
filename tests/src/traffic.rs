//! Orders by the dozen, each with a fate that is known beforehand.
//!
//! Invariant: an order is placed under one Idempotency-Key until somebody answers, as a careful shop does
//! it; its fate does not depend on the others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{Dice, Door, System};

/// So many submissions are under way at once.
const AT_ONCE: usize = 16;

/// Enough of this for all tests.
pub const PLENTY: (&str, u64) = ("TEA-1", 100_000);
/// Never enough of this.
pub const RARE: (&str, u64) = ("POT-1", 3);

/// What is to become of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It goes through.
    Good,
    /// It goes through, although the provider forgets to answer once.
    Timeout,
    /// Too little is there.
    OutOfStock,
    /// Nobody knows what it is.
    UnknownSku,
    /// The card is declined.
    Declined,
    /// There is too little on the card.
    Insufficient,
    /// It could go through, but is undone for a reason of no matter here.
    Turned,
}

impl Kind {
    /// Step and code of the rejection; `None` for an order that goes through.
    #[must_use]
    pub const fn rejection(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Good | Self::Timeout => None,
            Self::OutOfStock => Some(("reserve-stock", "out-of-stock")),
            Self::UnknownSku => Some(("reserve-stock", "unknown-sku")),
            Self::Declined => Some(("charge-payment", "card-declined")),
            Self::Insufficient => Some(("charge-payment", "insufficient-funds")),
            Self::Turned => Some(("", "")),
        }
    }
}

/// An order.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its fate.
    pub kind: Kind,
    /// Nobody else has this address.
    pub email: String,
    /// What is ordered.
    pub sku: &'static str,
    /// How much of it.
    pub quantity: u64,
    /// What it costs, in cents.
    pub total: i64,
    /// Its id, once it is placed.
    pub id: String,
}

impl Order {
    /// The `number`-th order, of this kind.
    #[must_use]
    pub fn new(kind: Kind, number: u64, quantity: u64) -> Self {
        let (sku, quantity) = match kind {
            Kind::OutOfStock => (RARE.0, RARE.1 + quantity),
            Kind::UnknownSku => ("UNICORN-1", quantity),
            _ => (PLENTY.0, quantity),
        };
        let total = 850 * i64::try_from(quantity).expect("small");
        Self {
            kind,
            email: format!("customer-{number}@shop.example"),
            sku,
            quantity,
            total,
            id: String::new(),
        }
    }

    /// The body of `POST /v1/orders`.
    #[must_use]
    pub fn body(&self) -> Value {
        let token = match self.kind {
            Kind::Good | Kind::OutOfStock | Kind::UnknownSku | Kind::Turned => "tok_visa",
            Kind::Timeout => "tok_timeout",
            Kind::Declined => "tok_declined",
            Kind::Insufficient => "tok_insufficient",
        };
        json!({
            "customer_id": self.email.split('@').next(),
            "email": self.email,
            "lines": [{
                "sku": self.sku,
                "quantity": self.quantity,
                "unit_price": { "amount": 850, "currency": "EUR" },
            }],
            "payment_token": token,
        })
    }
}

/// Orders of all kinds, most of them good.
pub fn mixed(count: u64, dice: &mut Dice) -> Vec<Order> {
    (0..count).map(|number| mixed_from(number, dice)).collect()
}

/// The `number`-th of such orders.
pub fn mixed_from(number: u64, dice: &mut Dice) -> Order {
    let kind = match dice.below(100) {
        0..60 => Kind::Good,
        60..65 => Kind::Timeout,
        65..75 => Kind::OutOfStock,
        75..80 => Kind::UnknownSku,
        80..92 => Kind::Declined,
        _ => Kind::Insufficient,
    };
    Order::new(kind, number, 1 + dice.below(3))
}

/// Fills the shelves.
pub async fn restock(system: &System) {
    for (sku, quantity) in [PLENTY, RARE] {
        system.restock(sku, quantity).await;
    }
}

/// Submissions under way.
pub struct Submission {
    tasks: JoinSet<Order>,
    accepted: Arc<AtomicUsize>,
}

impl Submission {
    /// Places all orders, some at once, each until it is accepted.
    #[must_use]
    pub fn start(system: &System, orders: Vec<Order>) -> Self {
        let (accepted, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        for order in orders {
            let (door, accepted, places) = (system.door(), Arc::clone(&accepted), Arc::clone(&places));
            tasks.spawn(async move {
                let _place = places.acquire().await.expect("nobody closes it");
                let order = place(&door, order).await;
                accepted.fetch_add(1, Ordering::Relaxed);
                order
            });
        }
        Self { tasks, accepted }
    }

    /// How many are accepted so far.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Waits for the rest.
    ///
    /// # Panics
    /// When an order was refused.
    pub async fn all(self) -> Vec<Order> {
        self.tasks.join_all().await
    }
}

/// Places one order; while nobody answers, or only that it is too early, it is tried again.
async fn place(door: &Door, mut order: Order) -> Order {
    let body = order.body();
    loop {
        match door.order(&order.email, &body).await {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                order.id = answer.body["id"].as_str().expect("an accepted order has an id").to_owned();
                return order;
            }
            Ok(answer) if matches!(answer.status, 409 | 429 | 503) => {}
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
