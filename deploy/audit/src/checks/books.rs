//! The inboxes against the participants' own tables: I3, I8, I10.
//!
//! An effect and its inbox row are one commit, so neither is there without the other.

use amends_contract::{Direction, EffectId};

use crate::case::{Case, meaning_of_row};
use crate::commands::{Meaning, goods_return, mail, payment, reservation};
use crate::records::InboxRow;
use crate::{Invariant, Report};

pub(crate) fn check(case: &Case<'_>, report: &mut Report) {
    for row in case.records.inbox.iter().filter(|row| row.succeeded()) {
        if let Some(what) = missing(case, row) {
            case.find(report, Invariant::I10, what, "that inbox row, and the tables of the same database");
        }
    }
    for (id, what) in effects(case) {
        let Ok(effect) = id.parse::<EffectId>() else {
            case.find(report, Invariant::I3, format!("{what} {id} belongs to no effect"), "that row");
            continue;
        };
        let look = format!("the row {id}, and the inbox of the same database");
        match case.records.row(&effect) {
            Some(row) if row.is_tombstone() => {
                case.find(report, Invariant::I8, format!("{id} has a tombstone, and {what}"), &look);
            }
            Some(row) if row.succeeded() || row.is_unsettled() => {}
            Some(_) => {
                case.find(report, Invariant::I3, format!("{id} did not succeed, and {what}"), &look);
            }
            None if case.is_remembered() => {
                let found = format!("{id}: {what}, and no inbox row keeps it from being done again");
                case.find(report, Invariant::I3, found, &look);
            }
            None => {}
        }
    }
}

/// All effects in the participants' own tables: their ids, and what they are.
fn effects(case: &Case<'_>) -> Vec<(String, String)> {
    let records = case.records;
    let mut effects = Vec::new();
    effects.extend(records.reservations.iter().map(|row| (row.id.clone(), "stock was reserved".to_owned())));
    effects.extend(records.returns.iter().map(|row| (row.id.clone(), "goods were expected back".to_owned())));
    let paid = records.payments.iter().filter(|row| !payment::NOTHING.contains(&row.status.as_str()));
    effects.extend(paid.map(|row| (row.effect.clone(), format!("a payment is {}", row.status))));
    let sent = records.mails.iter().filter(|row| !mail::NOTHING.contains(&row.status.as_str()));
    effects.extend(sent.map(|row| (row.effect.clone(), format!("a mail is {}", row.status))));
    effects
}

/// What a recorded success should have left in the tables and has not.
fn missing(case: &Case<'_>, row: &InboxRow) -> Option<String> {
    let (effect, has) = (&row.effect, case.scene.has);
    match meaning_of_row(row) {
        Meaning::Reserve if has.inventory => reserved(case, effect),
        Meaning::Release if has.inventory => left(case, effect, reservation::RELEASED),
        Meaning::Confirm if has.inventory => {
            let id = own(case, effect, "/reservation")?;
            let found = case.records.reservations.iter().find(|row| row.id == id).map(|row| &*row.state);
            differs(effect, &format!("the reservation {id}"), reservation::CONFIRMED, found)
        }
        Meaning::TakeBack if has.inventory => {
            let there = case.records.returns.iter().any(|row| row.id == effect.to_string());
            (!there).then(|| format!("{effect} succeeded, and no goods are expected back"))
        }
        Meaning::CancelTakeBack if has.inventory => returned(case, effect, goods_return::CANCELLED),
        Meaning::Restock if has.inventory => {
            let id = own(case, effect, "/return")?;
            let found = case.records.returns.iter().find(|row| row.id == id).map(|row| &*row.state);
            differs(effect, &format!("the return {id}"), goods_return::RESTOCKED, found)
        }
        Meaning::Charge if has.payment => {
            let id = effect.to_string();
            let status = case.records.payments.iter().find(|row| row.effect == id).map(|row| &*row.status);
            let open = |status: &str| status == payment::CHARGING || payment::NOTHING.contains(&status);
            let wrong = status.is_none_or(open);
            wrong.then(|| format!("{effect} succeeded, and its payment is {}", status.unwrap_or("not there")))
        }
        Meaning::RefundOrder if has.payment => {
            let id = effect.to_string();
            let status = case.records.refunds.iter().find(|row| row.effect == id).map(|row| &*row.status);
            differs(effect, "its refund", payment::REFUNDED, status)
        }
        Meaning::RefundCharge if has.payment => {
            let of_step = |id: &str| is_of_step(id, effect);
            let mut paid = case.records.payments.iter().filter(|row| of_step(&row.effect));
            let refunded = paid.any(|row| row.status == payment::REFUNDED);
            (!refunded).then(|| format!("{effect} is undone, and no payment of it is refunded"))
        }
        Meaning::Mail if has.notification => {
            let id = effect.to_string();
            let there = case.records.mails.iter().any(|row| row.effect == id && row.status != "queued");
            (!there).then(|| format!("{effect} succeeded, and no mail of it was handed over"))
        }
        _ => None,
    }
}

/// An id in a command's data, if it is of the same saga: of others nothing was read.
fn own<'a>(case: &'a Case<'_>, effect: &EffectId, pointer: &str) -> Option<&'a str> {
    let id = case.data(effect, pointer)?.as_str()?;
    id.parse::<EffectId>().is_ok_and(|id| id.saga == case.saga.id).then_some(id)
}

fn reserved(case: &Case<'_>, effect: &EffectId) -> Option<String> {
    let there = case.records.reservations.iter().any(|row| row.id == effect.to_string());
    (!there).then(|| format!("{effect} succeeded, and there is no reservation"))
}

fn left(case: &Case<'_>, undo: &EffectId, wanted: &str) -> Option<String> {
    let mut of_step = case.records.reservations.iter().filter(|row| is_of_step(&row.id, undo));
    let wrong = of_step.find(|row| row.state != wanted)?;
    Some(format!("{undo} is undone, and the reservation {} is {}", wrong.id, wrong.state))
}

fn returned(case: &Case<'_>, undo: &EffectId, wanted: &str) -> Option<String> {
    let mut of_step = case.records.returns.iter().filter(|row| is_of_step(&row.id, undo));
    let wrong = of_step.find(|row| row.state != wanted)?;
    Some(format!("{undo} is undone, and the return {} is {}", wrong.id, wrong.state))
}

fn differs(effect: &EffectId, of: &str, wanted: &str, found: Option<&str>) -> Option<String> {
    let found = found.unwrap_or("not there");
    (found != wanted).then(|| format!("{effect} succeeded, and {of} is {found}, not {wanted}"))
}

/// Whether the row is of an action of the step that `undo` undoes, in whichever epoch.
fn is_of_step(id: &str, undo: &EffectId) -> bool {
    let action = id.parse::<EffectId>();
    action.is_ok_and(|action| action.step == undo.step && action.direction == Direction::Forward)
}
