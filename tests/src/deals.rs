//! Sagas beside plain orders, by the dozen: returns, companies' orders, and whatever a test defines.
//!
//! Invariant: each has a fate that is known beforehand and does not depend on the others, and is started
//! under one Idempotency-Key until somebody answers.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    Door, System,
    traffic::{Order, PLENTY},
};

/// So many are being started at once.
const AT_ONCE: usize = 8;

/// What is to become of a saga.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every step happens.
    Completed,
    /// It turns backward at this step (`None`: at none, such as by a timeout or a cancel) for this reason,
    /// and everything is undone.
    Compensated(Option<&'static str>, &'static str),
}

/// A saga with what the books must say of it once it has ended.
#[derive(Clone, Debug)]
pub struct Deal {
    /// Its definition's name.
    pub definition: &'static str,
    /// What it is started with.
    pub input: Value,
    /// How it ends.
    pub fate: Fate,
    /// Pieces by SKU that it sells, if it is completed; those that come back are less than zero.
    pub pieces: Vec<(&'static str, i64)>,
    /// What is kept of the customer's money, if it is completed, in cents: less than zero is given back.
    pub money: i64,
    /// The saga that charged: `None` when it is this one.
    pub paid_by: Option<String>,
    /// Who is told, if it is completed. Nobody else has these addresses.
    pub told: Vec<String>,
    /// Who is told, if it is not.
    pub told_otherwise: String,
    /// Its Idempotency-Key.
    pub key: String,
    /// Its id, once it is started.
    pub id: String,
}

impl Deal {
    /// The `number`-th return: some pieces of an order, for so much money.
    #[must_use]
    pub fn giving_back(order: &Order, number: u64, pieces: u64, amount: i64, fate: Fate) -> Self {
        let address = format!("return-{number}@shop.example");
        let input = json!({
            "order_id": order.id,
            "customer_id": order.email.split('@').next(),
            "email": address,
            "lines": [{ "sku": order.sku, "quantity": pieces }],
            "amount": { "amount": amount, "currency": "EUR" },
            "reason": "too much of it",
        });
        Self {
            definition: "return-order",
            input,
            fate,
            pieces: vec![(order.sku, -i64::try_from(pieces).expect("small"))],
            money: -amount,
            paid_by: Some(order.id.clone()),
            told: vec![address.clone()],
            told_otherwise: address,
            key: format!("return-{number}"),
            id: String::new(),
        }
    }

    /// The `number`-th order of a company, of so many pieces at 8.50 EUR.
    #[must_use]
    pub fn of_company(number: u64, pieces: u64, token: &str, fate: Fate) -> Self {
        let recipients: Vec<_> =
            ["desk", "stores", "books"].iter().map(|who| format!("{who}-{number}@company.example")).collect();
        let total = 850 * i64::try_from(pieces).expect("small");
        let buyer = format!("buyer-{number}@company.example");
        let price = json!({ "amount": 850, "currency": "EUR" });
        let input = json!({
            "customer_id": format!("company-{number}"),
            "email": buyer,
            "recipients": recipients,
            "approver": format!("approver-{number}@company.example"),
            "lines": [{ "sku": PLENTY.0, "quantity": pieces, "unit_price": price }],
            "total": { "amount": total, "currency": "EUR" },
            "payment_token": token,
        });
        Self {
            definition: "b2b-order",
            input,
            fate,
            pieces: vec![(PLENTY.0, i64::try_from(pieces).expect("small"))],
            money: total,
            paid_by: None,
            told: recipients,
            told_otherwise: buyer,
            key: format!("company-{number}"),
            id: String::new(),
        }
    }

    /// The saga whose money it is about.
    #[must_use]
    pub fn payer(&self) -> &str {
        self.paid_by.as_deref().unwrap_or(&self.id)
    }

    /// Whether it ends with every step done.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.fate == Fate::Completed
    }

    /// The body of `POST /v1/sagas`.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "definition": self.definition, "input": self.input })
    }
}

/// Starts under way.
pub struct Starts {
    tasks: JoinSet<Deal>,
    accepted: Arc<AtomicUsize>,
}

impl Starts {
    /// Starts all of them, some at once, each until it is accepted.
    #[must_use]
    pub fn of(system: &System, deals: Vec<Deal>) -> Self {
        let (accepted, mut tasks) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        for deal in deals {
            let (door, accepted, places) = (system.door(), Arc::clone(&accepted), Arc::clone(&places));
            tasks.spawn(async move {
                let _place = places.acquire().await.expect("nobody closes it");
                let deal = start(&door, deal).await;
                accepted.fetch_add(1, Ordering::Relaxed);
                deal
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
    /// When one was refused.
    pub async fn all(self) -> Vec<Deal> {
        self.tasks.join_all().await
    }
}

/// Starts one; while nobody answers, or only that it is too early, it is tried again.
async fn start(door: &Door, mut deal: Deal) -> Deal {
    let body = deal.body();
    loop {
        match door.saga(&deal.key, &body).await {
            Ok(answer) if matches!(answer.status, 200 | 202) => {
                deal.id = answer.body["id"].as_str().expect("a started saga has an id").to_owned();
                return deal;
            }
            Ok(answer) if matches!(answer.status, 409 | 429 | 503) => {}
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
