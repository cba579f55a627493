//! What the books say: charges, refunds, and the balance. Read by auditors; nothing here writes.

use std::collections::BTreeMap;

use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::Serialize;

use super::decide::{CAPTURED, Charge, Refund};
use super::entity::{charge, refund};

/// A page of a list, in the order of booking.
#[derive(Serialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The `after` of the next page; null on the last.
    pub(super) next: Option<i64>,
}

impl<T> Page<T> {
    /// `rows` holds one more than `limit` if there is another page.
    fn cut<R>(mut rows: Vec<R>, limit: u64, seq: impl Fn(&R) -> i64, item: impl Fn(R) -> T) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(seq);
        Self { items: rows.into_iter().map(item).collect(), next }
    }
}

pub(super) async fn charges(db: &DatabaseConnection, after: i64, limit: u64) -> Result<Page<Charge>, DbErr> {
    let rows = charge_rows(db, after, limit).await?;
    Ok(Page::cut(rows, limit, |row| row.seq, Charge::from))
}

async fn charge_rows(db: &DatabaseConnection, after: i64, limit: u64) -> Result<Vec<charge::Model>, DbErr> {
    charge::Entity::find()
        .filter(charge::Column::Seq.gt(after))
        .order_by_asc(charge::Column::Seq)
        .limit(limit.saturating_add(1))
        .all(db)
        .await
}

pub(super) async fn refunds(db: &DatabaseConnection, after: i64, limit: u64) -> Result<Page<Refund>, DbErr> {
    let rows = refund::Entity::find()
        .filter(refund::Column::Seq.gt(after))
        .order_by_asc(refund::Column::Seq)
        .limit(limit.saturating_add(1))
        .all(db)
        .await?;
    Ok(Page::cut(rows, limit, |row| row.seq, Refund::from))
}

/// The books: totals of all of them, and one page of balances by key.
#[derive(Serialize)]
pub(super) struct Balance {
    /// By currency, in minor units.
    totals: BTreeMap<String, Total>,
    keys: Page<KeyBalance>,
}

#[derive(Default, Serialize)]
struct Total {
    charges: i64,
    refunds: i64,
    captured: i64,
    refunded: i64,
    net: i64,
}

/// What one charge came to. Refused charges are not listed: nothing was taken.
#[derive(Serialize)]
struct KeyBalance {
    key: String,
    currency: String,
    captured: i64,
    refunded: i64,
    net: i64,
}

#[derive(FromQueryResult)]
struct Sum {
    currency: String,
    rows: i64,
    amount: i64,
}

pub(super) async fn balance(db: &DatabaseConnection, after: i64, limit: u64) -> Result<Balance, DbErr> {
    let mut totals = BTreeMap::<String, Total>::new();
    let captured = charge::Entity::find()
        .select_only()
        .column(charge::Column::Currency)
        .column_as(charge::Column::Seq.count(), "rows")
        .column_as(charge::Column::Amount.sum(), "amount")
        .filter(charge::Column::Status.eq(CAPTURED))
        .group_by(charge::Column::Currency);
    for sum in captured.into_model::<Sum>().all(db).await? {
        let total = totals.entry(sum.currency).or_default();
        (total.charges, total.captured) = (sum.rows, sum.amount);
    }
    let refunded = refund::Entity::find()
        .select_only()
        .column(refund::Column::Currency)
        .column_as(refund::Column::Seq.count(), "rows")
        .column_as(refund::Column::Amount.sum(), "amount")
        .group_by(refund::Column::Currency);
    for sum in refunded.into_model::<Sum>().all(db).await? {
        let total = totals.entry(sum.currency).or_default();
        (total.refunds, total.refunded) = (sum.rows, sum.amount);
    }
    for total in totals.values_mut() {
        total.net = total.captured.saturating_sub(total.refunded);
    }
    Ok(Balance { totals, keys: keys(db, after, limit).await? })
}

async fn keys(db: &DatabaseConnection, after: i64, limit: u64) -> Result<Page<KeyBalance>, DbErr> {
    let page = Page::cut(charge_rows(db, after, limit).await?, limit, |row| row.seq, |row| row);
    let mut given_back = BTreeMap::<String, i64>::new();
    let of_page = refund::Column::ChargeKey.is_in(page.items.iter().map(|row| row.key.as_str()));
    for row in refund::Entity::find().filter(of_page).all(db).await? {
        *given_back.entry(row.charge_key).or_default() += row.amount;
    }
    let items = page
        .items
        .into_iter()
        .filter(|row| row.status == CAPTURED)
        .map(|row| {
            let refunded = given_back.get(&row.key).copied().unwrap_or(0);
            let net = row.amount.saturating_sub(refunded);
            KeyBalance { key: row.key, currency: row.currency, captured: row.amount, refunded, net }
        })
        .collect();
    Ok(Page { items, next: page.next })
}
