//! The saga against the provider's own books: I3, I4, I6, I8.
//!
//! What should be there follows from the journal: a charge that succeeded and was not undone is kept, but
//! for what returns have given back of it; anything else comes to nothing. Where an operator's word stands,
//! nothing is said.

use amends_contract::{Direction, EffectId};
use amends_engine::Ending;

use crate::case::{Case, repeated};
use crate::commands::{CAPTURED, Meaning};
use crate::entity::{charge, given_back};
use crate::journey::{Action, Standing, Undoing};
use crate::{Invariant, Report};

const BOOKS: &str = "the provider's books: GET /v1/books";

pub(crate) fn check(case: &Case<'_>, report: &mut Report) {
    if !case.scene.has.provider {
        return;
    }
    let captured = || case.records.charges.iter().filter(|charge| charge.status == CAPTURED);
    for charge in captured() {
        taken(case, charge, report);
    }
    for refund in &case.records.given_back {
        returned(case, refund, report);
    }
    let steps = captured().filter_map(|charge| charge.key.parse::<EffectId>().ok());
    for step in repeated(steps.map(|effect| effect.step)) {
        case.find(report, Invariant::I3, format!("step {step} was charged more than once"), BOOKS);
    }
    let keys = case.records.given_back.iter().map(|refund| refund.key.as_str());
    for key in repeated(keys) {
        case.find(report, Invariant::I3, format!("{key} was given back more than once"), BOOKS);
    }
    for (effect, standing) in case.actions().filter(|(_, standing)| standing.action == Action::Succeeded) {
        absent(case, &effect, standing, report);
    }
}

/// A charge that took money.
fn taken(case: &Case<'_>, charge: &charge::Model, report: &mut Report) {
    let key = &charge.key;
    let Some(effect) =
        key.parse::<EffectId>().ok().filter(|effect| case.journey.effects.contains_key(effect))
    else {
        let what = format!("{key} was charged, which its journal never decided");
        return case.find(report, Invariant::I6, what, BOOKS);
    };
    if case.records.row(&effect).is_some_and(crate::records::InboxRow::is_tombstone) {
        let what = format!("{key} has a tombstone, and was charged {}", amount(charge.amount, charge));
        case.find(report, Invariant::I8, what, BOOKS);
    }
    let wanted = case.data(&effect, "/amount/amount").and_then(serde_json::Value::as_i64);
    let currency = case.data(&effect, "/amount/currency").and_then(serde_json::Value::as_str);
    if wanted.is_some_and(|wanted| wanted != charge.amount)
        || currency.is_some_and(|currency| currency != charge.currency)
    {
        let what = format!("{key} was charged {}, and costs something else", amount(charge.amount, charge));
        case.find(report, Invariant::I4, what, BOOKS);
    }
    let refunds = || case.records.of_charges.iter().filter(|refund| refund.charge_key == *key);
    let refunded: i64 = refunds().map(|refund| refund.amount).sum();
    if refunded > charge.amount {
        let what = format!("{} of {key} was given back, and {} taken", refunded, charge.amount);
        case.find(report, Invariant::I4, what, BOOKS);
    }
    let Some(standing) = case.journey.standing(&effect).filter(|standing| !standing.is_by_hand()) else {
        return;
    };
    let kept = charge.amount - refunded;
    match case.ending() {
        Some(Ending::Completed) if is_kept(&effect, standing) => {
            let undone = refunds().find(|refund| is_undo(&refund.key));
            if let Some(undone) = undone {
                let what = format!("{key} is to be kept, and {} has given it back", undone.key);
                case.find(report, Invariant::I4, what, BOOKS);
            }
        }
        Some(ending @ (Ending::Completed | Ending::Compensated)) if kept != 0 => {
            let end = if ending == Ending::Completed { "completed" } else { "compensated" };
            let what = format!("{end}, and the provider keeps {} of {key}", amount(kept, charge));
            case.find(report, Invariant::I4, what, BOOKS);
        }
        Some(Ending::Abandoned) if kept != 0 => {
            report.leave(format!("{}: the provider keeps {} of {key}", case.saga.id, amount(kept, charge)));
        }
        _ => {}
    }
}

/// A refund under a key of this saga.
fn returned(case: &Case<'_>, refund: &given_back::Model, report: &mut Report) {
    let key = &refund.key;
    let Some(effect) =
        key.parse::<EffectId>().ok().filter(|effect| case.journey.effects.contains_key(effect))
    else {
        let what = format!("{key} was given back, which its journal never decided");
        return case.find(report, Invariant::I6, what, BOOKS);
    };
    if effect.direction == Direction::Backward {
        return;
    }
    let wanted = case.data(&effect, "/amount/amount").and_then(serde_json::Value::as_i64);
    if wanted.is_some_and(|wanted| wanted != refund.amount) {
        let what =
            format!("{key} gave back {} {}, and was to give another sum", refund.amount, refund.currency);
        case.find(report, Invariant::I4, what, BOOKS);
    }
    let standing = case.journey.standing(&effect).filter(|standing| !standing.is_by_hand());
    let ended = matches!(case.ending(), Some(Ending::Completed | Ending::Compensated));
    if ended && standing.is_some_and(|standing| !is_kept(&effect, standing)) {
        let what = format!("{key} gave back {} {}, and did not succeed", refund.amount, refund.currency);
        case.find(report, Invariant::I4, what, BOOKS);
    }
}

/// A success that should be in the books and is not.
fn absent(case: &Case<'_>, effect: &EffectId, standing: Standing, report: &mut Report) {
    let key = effect.to_string();
    let missing = match case.meaning(effect) {
        Meaning::Charge if standing.undo == Undoing::None => {
            let mut charges = case.records.charges.iter().filter(|charge| charge.status == CAPTURED);
            !charges.any(|charge| charge.key == key)
        }
        Meaning::RefundOrder => !case.records.given_back.iter().any(|refund| refund.key == key),
        _ => false,
    };
    if missing {
        let what = format!("{key} succeeded, and is not in the books");
        case.find(report, Invariant::I4, what, BOOKS);
    }
}

/// Whether the effect of the journal's last epoch stands.
fn is_kept(effect: &EffectId, standing: Standing) -> bool {
    standing.action == Action::Succeeded && standing.undo == Undoing::None && standing.epoch == effect.epoch
}

fn is_undo(key: &str) -> bool {
    key.parse::<EffectId>().is_ok_and(|effect| effect.direction == Direction::Backward)
}

fn amount(amount: i64, charge: &charge::Model) -> String {
    format!("{amount} {} (minor units)", charge.currency)
}
