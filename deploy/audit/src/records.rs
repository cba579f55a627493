//! What all books say about a page of sagas.
//!
//! The participants' keys are effect ids, which begin with the saga's id and sort bytewise; those tables
//! whose text sorts by a database's own locale are asked by the saga instead.
//!
//! Invariant: one page of each table in memory, whatever the tables hold.

use std::collections::BTreeMap;

use amends_contract::{EffectId, Envelope, Outcome, Reply, SagaId, Token};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::commands::row;
use crate::entity::{charge, given_back, goods_return, inbox, mail, payment, refund, reservation};
use crate::sources::Opened;
use crate::{Counters, Error};

/// Rows in one page of an inbox.
const ROWS_COUNT: u64 = 1_000;

/// Keys in one `IN`.
const KEYS_COUNT: usize = 500;

/// An inbox row.
#[derive(Clone, Debug)]
pub(crate) struct InboxRow {
    pub(crate) participant: Token,
    pub(crate) effect: EffectId,
    pub(crate) state: String,
    pub(crate) message_type: Option<String>,
    pub(crate) due_at_ms: Option<i64>,
    /// The recorded reply as it is sent.
    pub(crate) reply: Option<Vec<u8>>,
}

impl InboxRow {
    pub(crate) fn is_tombstone(&self) -> bool {
        self.state == row::TOMBSTONE
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.state == row::OPEN || self.state == row::VOIDING
    }

    /// What the recorded reply says; `None` where none is recorded, or it cannot be read.
    pub(crate) fn recorded(&self) -> Option<Reply> {
        Envelope::decode(self.reply.as_deref()?).and_then(Reply::from_envelope).ok()
    }

    pub(crate) fn succeeded(&self) -> bool {
        matches!(
            self.recorded(),
            Some(Reply { outcome: Outcome::Succeeded { .. } | Outcome::Undone { .. }, .. })
        )
    }
}

/// All that the books say about one saga.
#[derive(Clone, Debug, Default)]
pub(crate) struct Records {
    pub(crate) inbox: Vec<InboxRow>,
    pub(crate) reservations: Vec<reservation::Model>,
    pub(crate) returns: Vec<goods_return::Model>,
    pub(crate) payments: Vec<payment::Model>,
    pub(crate) refunds: Vec<refund::Model>,
    pub(crate) mails: Vec<mail::Model>,
    pub(crate) charges: Vec<charge::Model>,
    /// Refunds at the provider under a key of this saga.
    pub(crate) given_back: Vec<given_back::Model>,
    /// Refunds at the provider of a charge of this saga, whoever gave them.
    pub(crate) of_charges: Vec<given_back::Model>,
}

impl Records {
    /// The row of an effect.
    pub(crate) fn row(&self, effect: &EffectId) -> Option<&InboxRow> {
        self.inbox.iter().find(|row| row.effect == *effect)
    }
}

/// A range of sagas: from `low`, below `high` or without an upper end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) low: SagaId,
    pub(crate) high: Option<SagaId>,
}

impl Range {
    /// An effect id is `<saga>/...`; ids of sagas all have one length.
    fn bounds(self) -> (String, Option<String>) {
        (self.low.to_string(), self.high.map(|high| high.to_string()))
    }
}

pub(crate) type BySaga = BTreeMap<SagaId, Records>;

/// What the books say of all sagas in the range, those among them that no orchestrator knows, too.
pub(crate) async fn of_range(
    sources: &Opened,
    range: Range,
    counters: &mut Counters,
) -> Result<BySaga, Error> {
    let mut records = BySaga::new();
    for (name, db) in &sources.inboxes {
        let failed = Error::reading(&format!("the inbox of {name}"));
        inbox_rows(name, db, range, &mut records).await.map_err(failed)?;
    }
    for row in records.values().flat_map(|records| &records.inbox) {
        counters.inbox_rows += 1;
        counters.tombstones += u64::from(row.is_tombstone());
    }
    if let Some(db) = &sources.provider {
        provider(db, range, &mut records).await.map_err(Error::reading("the provider's books"))?;
    }
    for of_saga in records.values() {
        counters.charges += of_saga.charges.len() as u64;
        counters.refunds += of_saga.given_back.len() as u64;
    }
    Ok(records)
}

/// What their own tables say of these sagas.
pub(crate) async fn own_tables(
    sources: &Opened,
    sagas: &[SagaId],
    records: &mut BySaga,
) -> Result<(), Error> {
    for chunk in sagas.chunks(KEYS_COUNT) {
        if let Some(db) = &sources.inventory {
            inventory(db, chunk, records).await.map_err(Error::reading("inventory's database"))?;
        }
        if let Some(db) = &sources.payment {
            payments(db, chunk, records).await.map_err(Error::reading("payment's database"))?;
        }
        if let Some(db) = &sources.notification {
            let uuids: Vec<Uuid> = chunk.iter().map(|saga| saga.uuid()).collect();
            let found = mail::Entity::find().filter(mail::Column::Saga.is_in(uuids)).all(db).await;
            for row in found.map_err(Error::reading("notification's database"))? {
                if let Some(saga) = saga_of(&row.effect) {
                    records.entry(saga).or_default().mails.push(row);
                }
            }
        }
    }
    Ok(())
}

async fn inbox_rows(
    name: &Token,
    db: &DatabaseConnection,
    range: Range,
    records: &mut BySaga,
) -> Result<(), DbErr> {
    let (low, high) = range.bounds();
    let mut after: Option<String> = None;
    loop {
        let mut query = inbox::Entity::find().order_by_asc(inbox::Column::EffectId).limit(ROWS_COUNT);
        query = match &after {
            Some(after) => query.filter(inbox::Column::EffectId.gt(after.as_str())),
            None => query.filter(inbox::Column::EffectId.gte(low.as_str())),
        };
        if let Some(high) = &high {
            query = query.filter(inbox::Column::EffectId.lt(high.as_str()));
        }
        let rows = query.all(db).await?;
        let full = rows.len() as u64 == ROWS_COUNT;
        after = rows.last().map(|row| row.effect_id.clone());
        for row in rows {
            // Only a hand in the database writes an effect id that is none; its saga cannot be told.
            let Ok(effect) = row.effect_id.parse::<EffectId>() else { continue };
            let row = InboxRow {
                participant: name.clone(),
                state: row.state,
                message_type: row.message_type,
                due_at_ms: row.due_at_ms,
                reply: row.reply,
                effect,
            };
            records.entry(row.effect.saga).or_default().inbox.push(row);
        }
        if !full {
            return Ok(());
        }
    }
}

async fn inventory(db: &DatabaseConnection, sagas: &[SagaId], records: &mut BySaga) -> Result<(), DbErr> {
    let ids = sagas.iter().map(ToString::to_string);
    let query = reservation::Entity::find().filter(reservation::Column::Saga.is_in(ids));
    for row in query.all(db).await? {
        if let Some(saga) = saga_of(&row.id) {
            records.entry(saga).or_default().reservations.push(row);
        }
    }
    let effects = effects_of(sagas, records);
    for chunk in effects.chunks(KEYS_COUNT) {
        let ids = chunk.iter().map(String::as_str);
        let query = goods_return::Entity::find().filter(goods_return::Column::Id.is_in(ids));
        for row in query.all(db).await? {
            if let Some(saga) = saga_of(&row.id) {
                records.entry(saga).or_default().returns.push(row);
            }
        }
    }
    Ok(())
}

async fn payments(db: &DatabaseConnection, sagas: &[SagaId], records: &mut BySaga) -> Result<(), DbErr> {
    let uuids: Vec<Uuid> = sagas.iter().map(|saga| saga.uuid()).collect();
    let query = payment::Entity::find().filter(payment::Column::Saga.is_in(uuids));
    for row in query.all(db).await? {
        if let Some(saga) = saga_of(&row.effect) {
            records.entry(saga).or_default().payments.push(row);
        }
    }
    let effects = effects_of(sagas, records);
    for chunk in effects.chunks(KEYS_COUNT) {
        let ids = chunk.iter().map(String::as_str);
        for row in refund::Entity::find().filter(refund::Column::Effect.is_in(ids)).all(db).await? {
            if let Some(saga) = saga_of(&row.effect) {
                records.entry(saga).or_default().refunds.push(row);
            }
        }
    }
    Ok(())
}

/// The actions that inboxes know of these sagas: what keeps no saga of its own is asked by them.
fn effects_of(sagas: &[SagaId], records: &BySaga) -> Vec<String> {
    let rows = sagas.iter().filter_map(|saga| records.get(saga)).flat_map(|records| &records.inbox);
    rows.map(|row| row.effect.to_string()).collect()
}

async fn provider(db: &DatabaseConnection, range: Range, records: &mut BySaga) -> Result<(), DbErr> {
    let (low, high) = range.bounds();
    let mut charges = charge::Entity::find().filter(charge::Column::Key.gte(low.as_str()));
    let mut refunds = given_back::Entity::find().filter(given_back::Column::Key.gte(low.as_str()));
    let mut of_charges = given_back::Entity::find().filter(given_back::Column::ChargeKey.gte(low.as_str()));
    if let Some(high) = &high {
        charges = charges.filter(charge::Column::Key.lt(high.as_str()));
        refunds = refunds.filter(given_back::Column::Key.lt(high.as_str()));
        of_charges = of_charges.filter(given_back::Column::ChargeKey.lt(high.as_str()));
    }
    // Refunds first: one that is there gives back a charge that is there.
    let (refunds, of_charges) = (refunds.all(db).await?, of_charges.all(db).await?);
    for row in charges.all(db).await? {
        if let Some(saga) = saga_of(&row.key) {
            records.entry(saga).or_default().charges.push(row);
        }
    }
    for row in refunds {
        if let Some(saga) = saga_of(&row.key) {
            records.entry(saga).or_default().given_back.push(row);
        }
    }
    for row in of_charges {
        if let Some(saga) = saga_of(&row.charge_key) {
            records.entry(saga).or_default().of_charges.push(row);
        }
    }
    Ok(())
}

/// The saga of an effect id.
fn saga_of(effect: &str) -> Option<SagaId> {
    effect.split('/').next()?.parse().ok()
}
