//! Orders of all fates at a steady, modest rate: placed, cancelled, approved, given back, for as long as the
//! faults last.
//!
//! Invariant: each is asked for under one Idempotency-Key, at one orchestrator after the other, until somebody
//! answers; an answer that a careful caller could not act on is a violation.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use amends_tests::{
    Answer, Dice, Door, System,
    deals::{Deal, Fate},
    traffic::{self, Kind, Order},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Pause between two tries, and between two looks, at first and at most: whoever waits for long asks seldom, else
/// thousands who wait are a load of their own.
const AGAIN: Duration = Duration::from_millis(150);
const AGAIN_MAX: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(8);
/// More than this many pieces of 8.50 have to be approved.
const NEEDS_APPROVAL: u64 = 117;

/// What was accepted.
#[derive(Default)]
pub(crate) struct Placed {
    /// Plain orders.
    pub(crate) orders: Vec<Order>,
    /// Orders of companies, and returns.
    pub(crate) deals: Vec<Deal>,
    /// Answers that nobody should get.
    pub(crate) wrong: Vec<String>,
}

/// Where orders are placed.
#[derive(Clone)]
struct Shop {
    doors: Arc<Vec<Door>>,
    next: Arc<AtomicU64>,
    wrong: Arc<Mutex<Vec<String>>>,
}

/// How many orders, how fast, and by which chance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Decides the fates.
    pub(crate) seed: u64,
    /// Orders in a second.
    pub(crate) rate: u64,
    /// All of them; `None` for as many as there are until it is over.
    pub(crate) orders: Option<u64>,
}

/// How far the placing is, and whether it is to end.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    placed: AtomicU64,
    is_over: AtomicBool,
}

impl Progress {
    /// How many were placed.
    pub(crate) fn placed(&self) -> u64 {
        self.placed.load(Ordering::Relaxed)
    }

    /// No more are placed.
    pub(crate) fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// A load under way.
pub(crate) struct Load {
    placing: JoinSet<Option<Sold>>,
    shop: Shop,
}

enum Sold {
    Order(Order),
    Deal(Deal),
    /// An order, and its return.
    Both(Order, Deal),
}

/// One request, to be tried again under the same key.
#[derive(Debug)]
enum Ask<'a> {
    Order(&'a str, &'a Value),
    Saga(&'a str, &'a Value),
    Cancel(&'a str),
    Look(&'a str),
    Signal(&'a str, &'a Value),
}

impl Ask<'_> {
    /// `None` when nobody answers in time: a process that stands still keeps its connections.
    async fn at(&self, door: &Door) -> Option<Answer> {
        let asking = async {
            match self {
                Self::Order(key, body) => door.order(key, body).await,
                Self::Saga(key, body) => door.saga(key, body).await,
                Self::Cancel(id) => door.cancel(id).await,
                Self::Look(id) => door.get_order(id).await,
                Self::Signal(id, data) => door.signal(id, "approval", data).await,
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.ok()?.ok()
    }

    const fn is_submission(&self) -> bool {
        matches!(self, Self::Order(..) | Self::Saga(..))
    }
}

impl Load {
    /// An empty one; its callers go to these orchestrators in turn.
    #[must_use]
    pub(crate) fn new(system: &System, orchestrators: &[&str]) -> Self {
        let doors = orchestrators.iter().map(|name| system.door_of(name)).collect();
        let shop = Shop { doors: Arc::new(doors), next: Arc::default(), wrong: Arc::default() };
        Self { placing: JoinSet::new(), shop }
    }

    /// Places the `number`-th.
    fn place(&mut self, number: u64, dice: &mut Dice) {
        let shop = self.shop.clone();
        let mut own = Dice::seeded(dice.below(u64::MAX));
        match dice.below(100) {
            0..12 => drop(self.placing.spawn(async move { shop.company(number, &mut own).await })),
            12..18 => drop(self.placing.spawn(async move { shop.given_back(number, &mut own).await })),
            kind => {
                let order = traffic::mixed_from(number, &mut own);
                let is_cancelled = kind < 28;
                self.placing.spawn(async move { shop.order(order, is_cancelled, &mut own).await });
            }
        }
    }

    /// Places orders at a steady rate, until there are enough or it is over.
    pub(crate) async fn place_all(mut self, pace: Pace, progress: Arc<Progress>) -> Self {
        let mut dice = Dice::seeded(pace.seed.wrapping_mul(31).wrapping_add(7));
        let mut next = tokio::time::interval(Duration::from_micros(1_000_000 / pace.rate.max(1)));
        for number in 0..pace.orders.unwrap_or(u64::MAX) {
            next.tick().await;
            if progress.is_over.load(Ordering::Relaxed) {
                break;
            }
            self.place(number, &mut dice);
            progress.placed.store(number + 1, Ordering::Relaxed);
        }
        self
    }

    /// Waits until all that was begun is accepted.
    pub(crate) async fn all(self) -> Placed {
        let mut placed = Placed::default();
        for sold in self.placing.join_all().await.into_iter().flatten() {
            match sold {
                Sold::Order(order) => placed.orders.push(order),
                Sold::Deal(deal) => placed.deals.push(deal),
                Sold::Both(order, deal) => {
                    placed.orders.push(order);
                    placed.deals.push(deal);
                }
            }
        }
        placed.wrong = self.shop.wrong.lock().expect("nobody panics with it").clone();
        placed
    }
}

impl Shop {
    fn door(&self) -> &Door {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.doors[usize::try_from(turn).expect("small") % self.doors.len()]
    }

    /// Asks one orchestrator after the other until one says what it does; `None` for an answer that is
    /// wrong.
    async fn until_answered(&self, ask: Ask<'_>) -> Option<Answer> {
        let mut pause = AGAIN;
        loop {
            match ask.at(self.door()).await {
                Some(answer) if (200..300).contains(&answer.status) => return Some(answer),
                // What cannot be done any more cannot be done later either.
                Some(answer) if answer.status == 409 && !ask.is_submission() => return Some(answer),
                // A conflict of keys ends when the first submission is answered.
                Some(answer) if matches!(answer.status, 409 | 429 | 503) => {}
                Some(answer) => {
                    let wrong = format!("{ask:?} is answered {} {}", answer.status, answer.body);
                    self.wrong.lock().expect("nobody panics with it").push(wrong);
                    return None;
                }
                None => {}
            }
            tokio::time::sleep(pause).await;
            pause = AGAIN_MAX.min(pause * 2);
        }
    }

    async fn placed(&self, mut order: Order) -> Option<Order> {
        let answer = self.until_answered(Ask::Order(&order.email, &order.body())).await?;
        order.id = answer.body["id"].as_str()?.to_owned();

        Some(order)
    }

    async fn started(&self, mut deal: Deal) -> Option<Deal> {
        let answer = self.until_answered(Ask::Saga(&deal.key, &deal.body())).await?;
        deal.id = answer.body["id"].as_str()?.to_owned();

        Some(deal)
    }

    async fn order(&self, order: Order, is_cancelled: bool, dice: &mut Dice) -> Option<Sold> {
        let order = self.placed(order).await?;
        if is_cancelled {
            tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
            self.until_answered(Ask::Cancel(&order.id)).await;
        }
        Some(Sold::Order(order))
    }

    async fn company(&self, number: u64, dice: &mut Dice) -> Option<Sold> {
        let pieces = if dice.below(2) == 0 { 2 } else { NEEDS_APPROVAL + 3 };
        let (token, fate) = match dice.below(4) {
            0 => ("tok_declined", Fate::Compensated(Some("charge-payment"), "card-declined")),
            1 => ("tok_timeout", Fate::Completed),
            _ => ("tok_visa", Fate::Completed),
        };
        let deal = self.started(Deal::of_company(number, pieces, token, fate)).await?;
        if pieces > NEEDS_APPROVAL {
            let says = json!({ "by": "the chief of purchasing" });
            // Told early or late: a signal that comes before its step is kept.
            tokio::time::sleep(Duration::from_millis(dice.below(1_500))).await;
            self.until_answered(Ask::Signal(&deal.id, &says)).await;
        }
        Some(Sold::Deal(deal))
    }

    async fn given_back(&self, number: u64, dice: &mut Dice) -> Option<Sold> {
        let order = self.placed(Order::new(Kind::Good, number, 2)).await?;
        let mut pause = AGAIN;
        let ended = loop {
            let answer = self.until_answered(Ask::Look(&order.id)).await?;
            if answer.body["status"] != "pending" {
                break answer.body["status"].clone();
            }
            tokio::time::sleep(pause).await;
            pause = AGAIN_MAX.min(pause * 2);
        };
        if ended != "confirmed" {
            return Some(Sold::Order(order));
        }
        let pieces = 1 + dice.below(2);
        let amount = 850 * i64::try_from(pieces).expect("small");
        let deal = self.started(Deal::giving_back(&order, number, pieces, amount, Fate::Completed)).await?;
        Some(Sold::Both(order, deal))
    }
}
