//! The saga's journal against the participants' inboxes: I3, I6, I9, I10.
//!
//! A reply is journalled after its row was committed, and a row is committed after its command was decided:
//! so each journalled reply has its row, and each row its decision.

use std::collections::BTreeMap;

use amends_contract::{Direction, StepRef};

use crate::case::Case;
use crate::{Invariant, Report};

pub(crate) fn check(case: &Case<'_>, report: &mut Report) {
    replies(case, report);
    undecided(case, report);
    twice(case, report);
}

/// Each final reply in the journal is what the participant has recorded, and still has.
fn replies(case: &Case<'_>, report: &mut Report) {
    for (effect, story) in &case.journey.effects {
        let finals = story.replies.iter().filter(|(_, reply)| reply.outcome.is_final());
        for (seq, reply) in finals.filter(|(_, reply)| case.has_inbox(&reply.participant)) {
            let look = format!("entry {seq} of its journal, and the inbox of {}", reply.participant);
            let Some(row) = case.records.row(effect) else {
                if case.is_remembered() {
                    let said = reply.outcome.name();
                    let what = format!("{effect} was answered `{said}`, and has no inbox row");
                    case.find(report, Invariant::I10, what, &look);
                }
                continue;
            };
            match row.recorded() {
                Some(recorded) if recorded.outcome == reply.outcome => {}
                Some(recorded) => {
                    let (said, says) = (text(&reply.outcome), text(&recorded.outcome));
                    let what = format!("{effect} was answered {said}; recorded is now {says}");
                    case.find(report, Invariant::I9, what, &look);
                }
                None => {
                    let said = text(&reply.outcome);
                    let what =
                        format!("{effect} was answered {said}; no readable reply is recorded any more");
                    case.find(report, Invariant::I9, what, &look);
                }
            }
        }
    }
}

/// Each command that a participant has taken was decided.
fn undecided(case: &Case<'_>, report: &mut Report) {
    for row in &case.records.inbox {
        if row.message_type.is_some() && !case.journey.effects.contains_key(&row.effect) {
            let what =
                format!("{} has taken {}, which its journal never decided", row.participant, row.effect);
            case.find(report, Invariant::I6, what, "its journal, and that inbox row");
        }
    }
}

/// Of all epochs of an effect at most one happened.
fn twice(case: &Case<'_>, report: &mut Report) {
    let mut happened: BTreeMap<(&StepRef, Direction), u32> = BTreeMap::new();
    for row in case.records.inbox.iter().filter(|row| row.succeeded()) {
        *happened.entry((&row.effect.step, row.effect.direction)).or_default() += 1;
    }
    for ((step, direction), count) in happened {
        // An undo may be done again in a new epoch: it finds nothing left to do.
        if count > 1 && direction == Direction::Forward {
            let what = format!("step {step} happened {count} times, in different epochs");
            case.find(report, Invariant::I3, what, "the inbox rows of that step");
        }
    }
}

fn text(outcome: &amends_contract::Outcome) -> String {
    serde_json::to_string(outcome).unwrap_or_default()
}
