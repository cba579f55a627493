//! All sagas, the newest first, a page at a time, with what every book says about them.
//!
//! A page is read in this order: the rows and journals, then the inboxes and the provider, then the
//! participants' own tables. Whatever is found is looked at once more, all of it, and only what is found
//! both times is told: what was merely under way at the first look is there at the second.
//!
//! Invariant: one page in memory; a saga that moves on is no finding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use amends_contract::SagaId;
use amends_definition::Definition;
use amends_engine::{Decision, Input, Status};
use amends_server::verify::{Looked, Verifier};
use amends_store::{SagaFilter, SagaRow};

use crate::case::{Case, Has, Scene, is_remembered};
use crate::checks;
use crate::commands::CAPTURED;
use crate::journey::Journey;
use crate::records::{self, Range, Records};
use crate::sources::Opened;
use crate::{Counters, Error, Expectations, Invariant, Report, database};

/// Sagas in one page: a journal has some kilobytes, so this is about a megabyte.
const SAGAS_COUNT: u32 = 100;

/// A saga as it was read.
struct Read {
    looked: Looked,
    definition: Option<Arc<Definition>>,
}

pub(crate) async fn check(
    sources: &Opened,
    expectations: &Expectations,
    report: &mut Report,
) -> Result<(), Error> {
    let mut verifier = Verifier::new(&sources.store).await?;
    let filter = SagaFilter { made_from: expectations.since, ..SagaFilter::default() };
    let (mut cursor, mut high) = (None, None);
    loop {
        let page = sources.store.sagas(&filter, cursor, SAGAS_COUNT).await?;
        let Some(last) = page.rows.last().map(|row| row.id) else { return Ok(()) };
        // What lies between two sagas of the list belongs to none that is in it.
        let range = Range { low: last, high };
        page_of(sources, expectations, &mut verifier, (page.rows, range), report).await?;
        (cursor, high) = (page.next, Some(last));
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn page_of(
    sources: &Opened,
    expectations: &Expectations,
    verifier: &mut Verifier<'_>,
    (rows, range): (Vec<SagaRow>, Range),
    report: &mut Report,
) -> Result<(), Error> {
    let scene = scene(sources, expectations).await?;
    let top = rows.first().map(|row| row.id);
    let mut sagas = BTreeMap::new();
    for row in rows {
        sagas.insert(row.id, read(verifier, row.id, Some(row)).await?);
    }
    let mut records = records::of_range(sources, range, &mut report.counters).await?;
    // Sagas that began after the list was read.
    records.retain(|saga, _| range.high.is_some() || top.is_none_or(|top| *saga <= top));
    let mut ids: Vec<SagaId> = records.keys().chain(sagas.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    records::own_tables(sources, &ids, &mut records).await?;
    // Behind the list of sagas: whoever is deleted is in one of the two.
    let unknown: Vec<SagaId> = ids.iter().filter(|id| !sagas.contains_key(id)).copied().collect();
    let deleted: BTreeSet<SagaId> = sources.store.deleted_among(&unknown).await?.into_keys().collect();
    report.counters.deleted += deleted.len() as u64;
    ids.retain(|id| !deleted.contains(id));
    let none = Records::default();
    for id in ids {
        let records = records.get(&id).unwrap_or(&none);
        let mut found = match sagas.get(&id) {
            Some(saga) => judge(&scene, saga, records),
            None => stranger(&scene, id, records),
        };
        if let Some(saga) = sagas.get(&id) {
            count(saga, &mut report.counters);
        }
        if !found.is_clean() {
            let again = again(sources, &scene, verifier, id).await?;
            found.findings.retain(|finding| again.findings.contains(finding));
        }
        found.findings.into_iter().for_each(|finding| report.find(finding));
        found.left_behind.into_iter().for_each(|what| report.leave(what));
    }
    Ok(())
}

/// A second look at one saga, with fresh clocks.
async fn again(
    sources: &Opened,
    scene: &Scene<'_>,
    verifier: &mut Verifier<'_>,
    id: SagaId,
) -> Result<Report, Error> {
    let scene = self::scene(sources, scene.expectations).await?;
    let row = sources.store.saga_row(id).await?;
    let saga = match row {
        Some(row) => Some(read(verifier, id, Some(row)).await?),
        // Its time was over between the two looks.
        None if sources.store.deleted_among(&[id]).await?.contains_key(&id) => {
            return Ok(Report::new(usize::MAX));
        }
        None => None,
    };
    let range = Range { low: id, high: after(id) };
    let mut records = records::of_range(sources, range, &mut Counters::default()).await?;
    records.retain(|saga, _| *saga == id);
    records::own_tables(sources, &[id], &mut records).await?;
    let records = records.remove(&id).unwrap_or_default();
    Ok(match saga {
        Some(saga) => judge(&scene, &saga, &records),
        None => stranger(&scene, id, &records),
    })
}

async fn scene<'a>(sources: &Opened, expectations: &'a Expectations) -> Result<Scene<'a>, Error> {
    let mut clocks = BTreeMap::new();
    for (name, db) in &sources.inboxes {
        let failed = Error::reading(&format!("the clock of {name}"));
        clocks.insert(name.clone(), database::now(db).await.map_err(failed)?);
    }
    let has = Has {
        inventory: sources.inventory.is_some(),
        payment: sources.payment.is_some(),
        notification: sources.notification.is_some(),
        provider: sources.provider.is_some(),
    };
    Ok(Scene { expectations, now: sources.store.now().await?, clocks, has })
}

async fn read(verifier: &mut Verifier<'_>, id: SagaId, row: Option<SagaRow>) -> Result<Read, Error> {
    let looked = verifier.look(id, row).await?;
    let definition =
        looked.saga.as_ref().and_then(|saga| verifier.definitions().get(&saga.definition, saga.digest));
    Ok(Read { looked, definition })
}

/// The least saga id above.
fn after(id: SagaId) -> Option<SagaId> {
    SagaId::new(uuid::Uuid::from_u128(id.uuid().as_u128().checked_add(1)?)).ok()
}

/// What is wrong with a saga, and what it has left behind.
fn judge(scene: &Scene<'_>, read: &Read, records: &Records) -> Report {
    let mut report = Report::new(usize::MAX);
    if let Some(finding) = &read.looked.finding {
        // `illegal` is a decision that this engine would not make; the others, a journal that is damaged.
        let at = finding.seq.map(|seq| format!("entry {seq}: ")).unwrap_or_default();
        let what = format!("{}: {at}{}", finding.rule, finding.what);
        let look = format!("amends verify {}", finding.saga);
        report.saga(Invariant::I1, finding.saga, what, look);
    }
    let Some(saga) = &read.looked.saga else { return report };
    let definition = read.definition.as_deref();
    let journey = Journey::read(saga.id, &read.looked.journal, definition);
    if journey.ended.is_some() != saga.status().is_terminal() {
        let what = format!("its row says {}, its journal {:?}", saga.status(), journey.ended);
        report.saga(Invariant::I2, saga.id, what, format!("amends verify {}", saga.id));
    }
    checks::all(&Case { scene, saga, definition, journey: &journey, records }, &mut report);
    report
}

/// A saga that no orchestrator knows or has deleted, and of which participants have rows.
fn stranger(scene: &Scene<'_>, id: SagaId, records: &Records) -> Report {
    let mut report = Report::new(usize::MAX);
    if scene.expectations.strangers.contains(&id) || !is_remembered(scene, id) {
        return report;
    }
    for row in &records.inbox {
        let what =
            format!("{} has taken {}, and no orchestrator knows its saga", row.participant, row.effect);
        report.saga(Invariant::I6, id, what, format!("the inbox of {}", row.participant));
    }
    for charge in records.charges.iter().filter(|charge| charge.status == CAPTURED) {
        let what = format!("{} was charged, and no orchestrator knows its saga", charge.key);
        report.saga(Invariant::I6, id, what, "the provider's books: GET /v1/books".to_owned());
    }
    report
}

fn count(read: &Read, counters: &mut Counters) {
    counters.sagas += 1;
    counters.entries += read.looked.journal.len() as u64;
    let Some(saga) = &read.looked.saga else { return };
    let by_status = match saga.status() {
        Status::Completed => &mut counters.completed,
        Status::Compensated => &mut counters.compensated,
        Status::Abandoned => &mut counters.abandoned,
        Status::Parked => &mut counters.parked,
        Status::Running | Status::Compensating => &mut counters.open,
    };
    *by_status += 1;
    counters.unknown_definitions += u64::from(read.definition.is_none());
    let journey = Journey::read(saga.id, &read.looked.journal, read.definition.as_deref());
    counters.effects += journey.effects.len() as u64;
    counters.late_replies += journey.late_replies;
    counters.operator_actions += journey.operator_actions;
    counters.conflicts += journey.conflicts;
    counters.unknown += journey.unknown;
    for story in journey.effects.values() {
        counters.sends += story.sends;
        counters.fences += u64::from(story.fenced);
    }
    counters.by_hand += journey.steps.values().filter(|standing| standing.is_by_hand()).count() as u64;
    for entry in &read.looked.journal {
        if let Input::Reply(reply) = &entry.input {
            let again = reply.cause.is_some_and(|cause| cause.delivery > 1);
            counters.redeliveries += u64::from(again);
        }
        let nothing = |decision: &&Decision| matches!(decision, Decision::NothingToUndo { .. });
        counters.nothing_to_undo += entry.decisions.iter().filter(nothing).count() as u64;
    }
}
