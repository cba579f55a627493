//! Idempotency keys (I12), and that every accepted saga is there (L1).
//!
//! A key and its saga are one commit. Every saga but those that are steps of others is started under a key.
//!
//! Invariant: pages of keys and of sagas; the database, not the auditor, holds the two against each other.

use amends_contract::SagaId;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{
    ColumnTrait as _, DatabaseConnection, DbErr, EntityTrait as _, FromQueryResult, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::entity::{idempotency, saga};
use crate::sources::Opened;
use crate::{Error, Expectations, Invariant, Report};

/// Rows in one page.
const ROWS_COUNT: u64 = 500;

/// A saga to which several keys lead.
#[derive(FromQueryResult)]
struct Shared {
    saga_id: Uuid,
    keys: i64,
}

const LOOK: &str = "the table of idempotency keys";

pub(crate) async fn check(
    sources: &Opened,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<(), Error> {
    let db = &sources.orchestrator;
    let failed = Error::reading("the orchestrator's database");
    report.counters.keys = idempotency::Entity::find().count(db).await.map_err(&failed)?;
    for Shared { saga_id, keys } in shared(db).await.map_err(&failed)? {
        let what = format!("{keys} keys lead to one saga");
        report.find(of(saga_id, what));
    }
    for (key, id) in nowhere(db).await.map_err(&failed)? {
        report.find(of(id, format!("the key {key:?} leads to no saga")));
    }
    keyless(sources, expectations, report).await?;
    accepted(sources, expectations, report).await
}

fn of(id: Uuid, what: String) -> crate::Finding {
    crate::Finding { invariant: Invariant::I12, saga: SagaId::new(id).ok(), what, look: LOOK.to_owned() }
}

async fn shared(db: &DatabaseConnection) -> Result<Vec<Shared>, DbErr> {
    let count = Expr::col(idempotency::Column::Key).count();
    idempotency::Entity::find()
        .select_only()
        .column(idempotency::Column::SagaId)
        .column_as(count.clone(), "keys")
        .group_by(idempotency::Column::SagaId)
        .having(count.gt(1))
        .limit(ROWS_COUNT)
        .into_model::<Shared>()
        .all(db)
        .await
}

/// Keys whose saga is not there. Sagas are never deleted before their keys.
async fn nowhere(db: &DatabaseConnection) -> Result<Vec<(String, Uuid)>, DbErr> {
    let sagas = Query::select().column(saga::Column::Id).from(saga::Entity).take();
    let rows = idempotency::Entity::find()
        .filter(idempotency::Column::SagaId.not_in_subquery(sagas))
        .limit(ROWS_COUNT)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| (row.key, row.saga_id)).collect())
}

/// Sagas without a key that are no steps of others: started by nobody, or a second time.
async fn keyless(sources: &Opened, expectations: &Expectations, report: &mut Report) -> Result<(), Error> {
    let failed = Error::reading("the orchestrator's database");
    let mut after = Uuid::nil();
    loop {
        let with_key = Query::select().column(idempotency::Column::SagaId).from(idempotency::Entity).take();
        let rows = saga::Entity::find()
            .filter(saga::Column::Id.gt(after))
            .filter(saga::Column::Id.not_in_subquery(with_key))
            .order_by_asc(saga::Column::Id)
            .limit(ROWS_COUNT)
            .all(&sources.orchestrator)
            .await
            .map_err(&failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let full = rows.len() as u64 == ROWS_COUNT;
        let ids: Vec<SagaId> = rows.iter().filter_map(|row| SagaId::new(row.id).ok()).collect();
        for saga in sources.store.load(&ids).await?.sagas {
            if saga.parent.is_none() && expectations.looks_at(saga.id) {
                let what = "it was started under no idempotency key".to_owned();
                report.saga(Invariant::I12, saga.id, what, LOOK.to_owned());
            }
        }
        if !full {
            return Ok(());
        }
    }
}

/// What callers were told is accepted is there, and, if they know of all, nothing else is.
async fn accepted(sources: &Opened, expectations: &Expectations, report: &mut Report) -> Result<(), Error> {
    let accepted: Vec<SagaId> = expectations.accepted.iter().copied().collect();
    for chunk in accepted.chunks(usize::try_from(ROWS_COUNT).unwrap_or(usize::MAX)) {
        let loaded = sources.store.load(chunk).await?;
        let unreadable = loaded.unreadable.iter().map(|row| row.id);
        let there: std::collections::BTreeSet<_> =
            loaded.sagas.iter().map(|saga| saga.id).chain(unreadable).collect();
        let missing: Vec<SagaId> = chunk.iter().filter(|id| !there.contains(*id)).copied().collect();
        let deleted = sources.store.deleted_among(&missing).await?;
        for id in missing.iter().filter(|id| !deleted.contains_key(id)) {
            let what = "it was accepted, and is not there".to_owned();
            report.saga(Invariant::L1, *id, what, "the caller's log, and the table of sagas".to_owned());
        }
    }
    if !expectations.accepted_is_all {
        return Ok(());
    }
    let failed = Error::reading("the orchestrator's database");
    let mut after = Uuid::nil();
    loop {
        let query = saga::Entity::find().filter(saga::Column::Id.gt(after)).order_by_asc(saga::Column::Id);
        let rows = query.limit(ROWS_COUNT).all(&sources.orchestrator).await.map_err(&failed)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.id;
        let ids: Vec<SagaId> = rows.iter().filter_map(|row| SagaId::new(row.id).ok()).collect();
        let more: Vec<SagaId> = ids.into_iter().filter(|id| !expectations.accepted.contains(id)).collect();
        for saga in sources.store.load(&more).await?.sagas.iter().filter(|saga| saga.parent.is_none()) {
            let what = "nobody was told of it: it was started twice".to_owned();
            report.saga(Invariant::I12, saga.id, what, LOOK.to_owned());
        }
    }
}
