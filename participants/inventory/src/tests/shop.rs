//! An inventory with some stock in it, and the orders that want it.

use amends_contract::{Command, Outcome, SagaId, Timestamp};
use amends_participant::{
    Config,
    testing::{Bench, Cluster, command, saga_at, undo_of},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::domain::Stock;
use crate::restock::{Restock, Restocked, restock};
use crate::run::participant;
use crate::store;

pub(crate) struct Inventory {
    pub(crate) bench: Bench,
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Inventory {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/inventory.db", folder.path().display());
        Self::open(url, Some(folder)).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::open(Cluster::database(), None).await
    }

    async fn open(url: String, folder: Option<TempDir>) -> Self {
        let inventory = Self { bench: bench(&url).await, url, _folder: folder };
        for (sku, quantity) in [("CUP-1", 5), ("POT-1", 3), ("TEA-1", 10)] {
            inventory.bring_in(sku, quantity).await;
        }
        inventory
    }

    pub(crate) async fn bring_in(&self, sku: &str, quantity: i64) {
        let wanted = Restock { sku: sku.to_owned(), quantity };
        let done = restock(self.bench.db(), &wanted, None).await.unwrap();
        assert!(matches!(done, Restocked::Done { replayed: false, .. }));
    }

    /// `on_hand reserved deducted received` of a SKU; sound, and reserved by what is active.
    pub(crate) async fn stock(&self, sku: &str) -> [i64; 4] {
        let db = self.bench.db().reader();
        let held = store::held(db).await;
        for row in store::list(db, None, 1_000).await.unwrap() {
            assert!(row.stock().is_sound(), "{row:?}");
            assert_eq!(row.reserved, held.get(&row.sku).copied().unwrap_or_default(), "{row:?}");
        }
        let Stock { on_hand, reserved, deducted, received } =
            store::item(db, sku).await.unwrap().unwrap().stock();
        [on_hand, reserved, deducted, received]
    }
}

pub(crate) async fn bench(url: &str) -> Bench {
    Bench::start(participant(), url, Config::default()).await.unwrap()
}

pub(crate) fn saga(number: u64) -> SagaId {
    // The horizon is far away from 2100.
    saga_at(Timestamp::from_unix_ms(4_102_444_800_000), number)
}

pub(crate) fn reserve(number: u64, lines: &[(&str, i64)]) -> Command {
    let lines: Vec<Value> = lines
        .iter()
        .map(|(sku, quantity)| {
            let price = json!({ "amount": 100, "currency": "EUR" });
            json!({ "sku": sku, "quantity": quantity, "unit_price": price })
        })
        .collect();
    command(saga(number), "reserve-stock", "inventory.reserve-stock", json!({ "lines": lines }))
}

pub(crate) fn release(reservation: &Command) -> Command {
    undo_of(reservation, "release-stock")
}

pub(crate) fn confirm(reservation: &Command) -> Command {
    let data = json!({ "reservation": reservation.effect });
    command(reservation.effect.saga, "confirm-stock", "inventory.confirm-stock", data)
}

pub(crate) fn rejected(code: &str, message: &str) -> Outcome {
    Outcome::Rejected { code: code.to_owned(), message: message.to_owned() }
}

/// The return of lines of the order that this reservation is of, by a saga of its own.
pub(crate) fn take_back(number: u64, reservation: &Command, lines: &[(&str, i64)]) -> Command {
    let mut data = reserve(number, lines).data.into_value();
    data["order"] = json!(reservation.effect.saga);
    command(saga(number), "take-back", "inventory.take-back", data)
}

pub(crate) fn cancel_take_back(taken: &Command) -> Command {
    undo_of(taken, "cancel-take-back")
}

pub(crate) fn put_back(taken: &Command) -> Command {
    command(taken.effect.saga, "restock", "inventory.restock", json!({ "return": taken.effect }))
}
