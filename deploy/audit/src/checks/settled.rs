//! Liveness: L1 (it ends, or says what it waits for), L2 (it lets go), L3 (nothing due is left lying).

use amends_contract::EffectId;
use amends_engine::{Ending, HeldBy, Status};

use crate::case::Case;
use crate::commands::{goods_return, payment, reservation};
use crate::{Invariant, Report};

pub(crate) fn check(case: &Case<'_>, report: &mut Report) {
    match case.ending() {
        Some(Ending::Abandoned) => {
            for (_, what) in held(case) {
                report.leave(format!("{}: {what}", case.saga.id));
            }
        }
        Some(Ending::Completed | Ending::Compensated) => {
            for (effect, what) in held(case) {
                let by_hand = effect
                    .and_then(|effect| case.journey.standing(&effect))
                    .is_some_and(crate::journey::Standing::is_by_hand);
                if !by_hand {
                    case.find(report, Invariant::L2, what, "the participant's log, and that row");
                }
            }
        }
        None => open(case, report),
    }
    late_rows(case, report);
}

/// What a saga still holds, and the effect that holds it.
fn held(case: &Case<'_>) -> Vec<(Option<EffectId>, String)> {
    let records = case.records;
    let mut held = Vec::new();
    let mut hold = |id: &str, what: String| held.push((id.parse().ok(), what));
    for row in records.reservations.iter().filter(|row| row.state == reservation::ACTIVE) {
        hold(&row.id, format!("it has ended, and the reservation {} is active", row.id));
    }
    for row in records.returns.iter().filter(|row| row.state == goods_return::EXPECTED) {
        hold(&row.id, format!("it has ended, and the goods of {} are still expected", row.id));
    }
    let open = [payment::CHARGING, payment::REFUNDING];
    for row in records.payments.iter().filter(|row| open.contains(&row.status.as_str())) {
        hold(&row.effect, format!("it has ended, and the payment {} is {}", row.effect, row.status));
    }
    for row in records.inbox.iter().filter(|row| row.is_unsettled()) {
        let what = format!("it has ended, and {} still finds out about {}", row.participant, row.effect);
        hold(&row.effect.to_string(), what);
    }
    held
}

/// A saga that has not ended.
fn open(case: &Case<'_>, report: &mut Report) {
    // It waits, untouched, for a process that knows its definition; the console and the metrics say so.
    if case.definition.is_none() {
        return;
    }
    let (status, flags, due_at) = (case.saga.status(), case.saga.flags(), case.saga.due_at());
    let waits = status == Status::Parked || flags.awaiting || flags.paused || case.saga.start_at.is_some();
    let queues = case.saga.steps.iter().any(|step| {
        step.flight(amends_contract::Direction::Forward)
            .is_some_and(|flight| flight.held == Some(HeldBy::Concurrency))
    });
    if due_at.is_none() && !waits && !queues {
        let what = format!("it is {status}, and nothing will ever move it");
        case.find(report, Invariant::L1, what, "amends saga show");
    } else if case.scene.expectations.settled && !waits && !flags.held {
        let what = format!("it is still {status}, and waits for nothing that it names");
        case.find(report, Invariant::L1, what, "amends saga show, and the orchestrator's log");
    }
    if let Some(due_at) = due_at.filter(|due_at| is_late(case, *due_at, case.scene.now)) {
        let what = format!("it was due at {due_at}, and nobody has taken it up");
        case.find(report, Invariant::L3, what, "the orchestrator's log: its timers do not run");
    }
}

fn late_rows(case: &Case<'_>, report: &mut Report) {
    for row in &case.records.inbox {
        let (Some(due_at_ms), Some(now)) = (row.due_at_ms, case.scene.clocks.get(&row.participant)) else {
            continue;
        };
        let due_at = amends_contract::Timestamp::from_unix_ms(due_at_ms);
        if is_late(case, due_at, *now) {
            let what = format!(
                "{} was due at {due_at} at {}, and nobody has taken it up",
                row.effect, row.participant
            );
            case.find(report, Invariant::L3, what, "that participant's log");
        }
    }
}

fn is_late(case: &Case<'_>, due_at: amends_contract::Timestamp, now: amends_contract::Timestamp) -> bool {
    due_at < now.minus_ms(case.scene.expectations.lease_ms)
}
