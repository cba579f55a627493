//! The shelves (I5): do the pieces add up, and are they what reservations and returns say?
//!
//! Read within one transaction of the database, since a reservation and its shelf change together. It takes
//! memory by the number of SKUs, not of orders.
//!
//! Invariant: a snapshot; a running inventory is no finding.

use std::collections::BTreeMap;

use sea_orm::{
    AccessMode, ColumnTrait as _, DatabaseTransaction, DbErr, EntityTrait as _, IsolationLevel,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, TransactionTrait as _,
};

use crate::commands::{goods_return as returns, reservation as reservations};
use crate::entity::{goods_return, reservation, stock};
use crate::sources::Opened;
use crate::{Error, Invariant, Report};

/// Rows in one page.
const ROWS_COUNT: u64 = 1_000;

/// Pieces by SKU, as the rows say.
#[derive(Default)]
struct Sums {
    reserved: BTreeMap<String, i64>,
    deducted: BTreeMap<String, i64>,
    unreadable: Vec<String>,
}

impl Sums {
    fn add(&mut self, id: &str, lines: &str, to: fn(&mut Self) -> &mut BTreeMap<String, i64>, sign: i64) {
        match serde_json::from_str::<BTreeMap<String, i64>>(lines) {
            Ok(lines) => {
                for (sku, quantity) in lines {
                    *to(self).entry(sku).or_default() += sign * quantity;
                }
            }
            Err(_) => self.unreadable.push(id.to_owned()),
        }
    }
}

pub(crate) async fn check(sources: &Opened, report: &mut Report) -> Result<(), Error> {
    let Some(db) = &sources.inventory else { return Ok(()) };
    let failed = Error::reading("inventory's database");
    let config = (Some(IsolationLevel::RepeatableRead), Some(AccessMode::ReadOnly));
    // SQLite's transactions are snapshots, whatever is asked for.
    let transaction = db.begin_with_config(config.0, config.1).await.map_err(&failed)?;
    let looked = look(&transaction, report).await;
    // Nothing was written.
    transaction.rollback().await.map_err(&failed)?;
    looked.map_err(&failed)
}

async fn look(db: &DatabaseTransaction, report: &mut Report) -> Result<(), DbErr> {
    let mut sums = Sums::default();
    sum_reservations(db, &mut sums).await?;
    sum_returns(db, &mut sums).await?;
    for id in &sums.unreadable {
        let what = format!("the lines of {id} cannot be read");
        report.all(Invariant::I5, what, "that row of inventory's database".to_owned());
    }
    let mut after = String::new();
    loop {
        let mut query = stock::Entity::find().order_by_asc(stock::Column::Sku).limit(ROWS_COUNT);
        if !after.is_empty() {
            query = query.filter(stock::Column::Sku.gt(after.as_str()));
        }
        let rows = query.all(db).await?;
        let full = rows.len() as u64 == ROWS_COUNT;
        for row in rows {
            report.counters.skus += 1;
            shelf(&row, &mut sums, report);
            after = row.sku;
        }
        if !full {
            break;
        }
    }
    let left = sums.reserved.into_iter().chain(sums.deducted).filter(|(_, pieces)| *pieces != 0);
    for (sku, pieces) in left {
        let what = format!("{sku}: {pieces} pieces are reserved or sold, and there is no such shelf");
        report.all(Invariant::I5, what, "GET /inventory, and the table of reservations".to_owned());
    }
    Ok(())
}

fn shelf(row: &stock::Model, sums: &mut Sums, report: &mut Report) {
    let stock::Model { sku, on_hand, reserved, deducted, received } = row;
    let mut find = |what: String| {
        report.all(Invariant::I5, what, "GET /inventory, and the table of reservations".to_owned());
    };
    if [on_hand, reserved, deducted, received].into_iter().any(|pieces| *pieces < 0) {
        find(format!("{sku}: less than nothing: {row:?}"));
    }
    if on_hand + deducted != *received {
        find(format!("{sku}: {on_hand} on hand and {deducted} sold are not {received} received"));
    }
    let active = sums.reserved.remove(sku).unwrap_or_default();
    if active != *reserved {
        find(format!("{sku}: {reserved} are reserved, and active reservations hold {active}"));
    }
    let sold = sums.deducted.remove(sku).unwrap_or_default();
    if sold != *deducted {
        find(format!("{sku}: {deducted} are sold, and confirmed reservations less returns come to {sold}"));
    }
}

async fn sum_reservations(db: &DatabaseTransaction, sums: &mut Sums) -> Result<(), DbErr> {
    let mut after = String::new();
    loop {
        let mut query = reservation::Entity::find()
            .filter(reservation::Column::State.is_in([reservations::ACTIVE, reservations::CONFIRMED]))
            .order_by_asc(reservation::Column::Id)
            .limit(ROWS_COUNT);
        if !after.is_empty() {
            query = query.filter(reservation::Column::Id.gt(after.as_str()));
        }
        let rows = query.all(db).await?;
        let full = rows.len() as u64 == ROWS_COUNT;
        for row in rows {
            match row.state == reservations::ACTIVE {
                true => sums.add(&row.id, &row.lines, |sums| &mut sums.reserved, 1),
                false => sums.add(&row.id, &row.lines, |sums| &mut sums.deducted, 1),
            }
            after = row.id;
        }
        if !full {
            return Ok(());
        }
    }
}

async fn sum_returns(db: &DatabaseTransaction, sums: &mut Sums) -> Result<(), DbErr> {
    let mut after = String::new();
    loop {
        let mut query = goods_return::Entity::find()
            .filter(goods_return::Column::State.eq(returns::RESTOCKED))
            .order_by_asc(goods_return::Column::Id)
            .limit(ROWS_COUNT);
        if !after.is_empty() {
            query = query.filter(goods_return::Column::Id.gt(after.as_str()));
        }
        let rows = query.all(db).await?;
        let full = rows.len() as u64 == ROWS_COUNT;
        for row in rows {
            sums.add(&row.id, &row.lines, |sums| &mut sums.deducted, -1);
            after = row.id;
        }
        if !full {
            return Ok(());
        }
    }
}
