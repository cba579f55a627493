//! Bringing stock in: in one transaction with its event, and once per idempotency key.
//!
//! Invariant: a repeated key gets the first answer; with another content it is refused.

use amends_contract::{Event, Timestamp, Token};
use amends_participant::{Database, emit};
use sea_orm::{DatabaseTransaction, DbErr};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{self, Stock};
use crate::entity::{restock, stock};
use crate::run::NAME;
use crate::store;

/// How many of what came in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restock {
    /// What: 1 to 64 letters, digits, `-`, `_`, `.`. A new one is created.
    pub(crate) sku: String,
    /// How many pieces, at least 1.
    pub(crate) quantity: i64,
}

/// The stock of one SKU, in pieces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Item {
    sku: String,
    /// In the shelf, reserved ones included.
    on_hand: i64,
    /// Held by orders that are under way.
    reserved: i64,
    /// What can still be reserved.
    available: i64,
    /// Sold and gone, and not come back to the shelf.
    deducted: i64,
    /// Ever brought in: `on_hand + deducted`.
    received: i64,
}

impl Item {
    fn new(sku: String, stock: &Stock) -> Self {
        let Stock { on_hand, reserved, deducted, received } = *stock;
        Self { sku, on_hand, reserved, available: stock.available(), deducted, received }
    }
}

impl From<stock::Model> for Item {
    fn from(row: stock::Model) -> Self {
        let stock = row.stock();
        Self::new(row.sku, &stock)
    }
}

/// What a restocking came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Restocked {
    /// The answer (JSON of an [`Item`]), and whether it was given before.
    Done { answer: String, replayed: bool },
    /// The key belongs to another content.
    OtherContent,
    /// There would be more than can be counted.
    TooMany,
}

/// Brings it in. Drop its future only when it has ended: it holds a transaction.
pub(crate) async fn restock(db: &Database, wanted: &Restock, key: Option<&str>) -> Result<Restocked, DbErr> {
    let now = db.now().await?;
    let tx = db.begin().await?;
    let result = within(&tx, wanted, key, now).await;
    match &result {
        Ok(Restocked::Done { replayed: false, .. }) => tx.commit().await?,
        _ => tx.rollback().await?,
    }
    result
}

async fn within(
    tx: &DatabaseTransaction,
    wanted: &Restock,
    key: Option<&str>,
    now: Timestamp,
) -> Result<Restocked, DbErr> {
    if let Some(key) = key
        && let Some(first) = store::restocking(tx, key).await?
    {
        return Ok(repeated(first, wanted));
    }
    let stock = store::locked(tx, &wanted.sku, now).await?;
    let Some(stock) = domain::restock(stock, wanted.quantity) else {
        return Ok(Restocked::TooMany);
    };
    store::put(tx, &wanted.sku, stock, now).await?;
    let item = Item::new(wanted.sku.clone(), &stock);
    let answer = json!(item).to_string();
    if let Some(key) = key {
        let row = restock::Model {
            key: key.to_owned(),
            sku: wanted.sku.clone(),
            quantity: wanted.quantity,
            answer: answer.clone(),
            created_at_ms: now.unix_ms(),
        };
        // Another request under the same key was faster since we looked; ours is rolled back.
        if !store::insert_restock(tx, row).await? {
            let first = store::restocking(tx, key).await?;
            return Ok(first.map_or(Restocked::OtherContent, |first| repeated(first, wanted)));
        }
    }
    emit(tx, &[event(wanted, key, &item, now)]).await?;
    Ok(Restocked::Done { answer, replayed: false })
}

fn repeated(first: restock::Model, wanted: &Restock) -> Restocked {
    if (first.sku.as_str(), first.quantity) == (wanted.sku.as_str(), wanted.quantity) {
        Restocked::Done { answer: first.answer, replayed: true }
    } else {
        Restocked::OtherContent
    }
}

/// `stock.restocked`. Without a key each request is a cause of its own.
fn event(wanted: &Restock, key: Option<&str>, item: &Item, now: Timestamp) -> Event {
    let cause = key.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
    let name = |text: &str| Token::new(text).unwrap_or_else(|_| unreachable!("{text:?} is a name"));
    Event {
        id: format!("{NAME}/restock/{cause}"),
        source: name(NAME),
        entity: name("stock"),
        name: name("restocked"),
        at: now,
        saga: None,
        data: json!({ "sku": wanted.sku, "quantity": wanted.quantity, "stock": item }).into(),
    }
}
