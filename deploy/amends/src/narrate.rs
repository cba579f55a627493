//! A journal entry in words, for `saga show`, `saga watch` and the demo.
//!
//! Invariant: every decision has words; a new one does not compile without.

use std::fmt::Display;

use amends_contract::{Direction, StepRef};
use amends_engine::{
    Ask, Decision, Ending, Failure, HeldBy, Input, JournalEntry, OperatorAction, PausedBy, Then,
};

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Something is done.
    Good,
    /// Something did not work.
    Bad,
    /// Something is under way.
    Neutral,
}

/// One thing that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// At which step, if at one.
    pub(crate) step: Option<StepRef>,
    pub(crate) text: String,
    pub(crate) mood: Mood,
}

/// All that an entry decided.
pub(crate) fn entry(entry: &JournalEntry) -> Vec<Line> {
    let operator = match &entry.input {
        Input::Operator { action, actor, reason } => Some(Line {
            step: None,
            text: format!("{actor} asks to {}: {reason}", verb(action)),
            mood: Mood::Neutral,
        }),
        Input::Signal { name, data, actor } => {
            let text = format!("{actor} sends the signal {name}: {data}");
            Some(Line { step: None, text, mood: Mood::Neutral })
        }
        Input::Start { .. } | Input::Reply(_) | Input::Timer { .. } | Input::Release { .. } => None,
    };
    operator.into_iter().chain(entry.decisions.iter().map(decision)).collect()
}

const fn verb(action: &OperatorAction) -> &'static str {
    match action {
        OperatorAction::RetryNow => "retry now",
        OperatorAction::SkipWait => "skip what only waits",
        OperatorAction::Cancel => "cancel",
        OperatorAction::Compensate => "compensate",
        OperatorAction::Pause { .. } => "pause",
        OperatorAction::Resume { .. } => "resume",
        OperatorAction::EditAndRetry { .. } => "try again with other data",
        OperatorAction::SettleStep { .. } => "settle a step by hand",
        OperatorAction::Abandon => "abandon",
    }
}

fn decision(decision: &Decision) -> Line {
    let (step, text, mood) = words(decision);
    Line { step: step.cloned(), text, mood }
}

fn words(decision: &Decision) -> (Option<&StepRef>, String, Mood) {
    use Mood::{Bad, Good, Neutral};
    match decision {
        Decision::Started { steps, .. } => (None, format!("started: {}", names(steps)), Neutral),
        Decision::Begun => (None, "begins now".to_owned(), Neutral),
        Decision::Skipped { step } => (Some(step), "skipped: its condition is false".to_owned(), Neutral),
        Decision::Spread { step, elements } => {
            (Some(step), format!("runs once for each of {} elements", elements.len()), Neutral)
        }
        Decision::Awaited { step, signal, until } => {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            (Some(step), format!("waits for the signal {signal}{until}"), Neutral)
        }
        Decision::Signalled { name, .. } => (None, format!("the signal {name} is kept"), Neutral),
        Decision::DeadlineMoved { deadline_at } => {
            (None, format!("the deadline moves to {deadline_at}"), Neutral)
        }
        Decision::Stuck { step, effect, at } => {
            (Some(step), format!("{}stuck: {}: {}", undo(*effect), at.why.name(), at.detail), Bad)
        }
        Decision::Paused { by } => (None, paused(*by).to_owned(), Neutral),
        Decision::Resumed { shift_ms } => (None, format!("goes on after {} s", shift_ms / 1000), Neutral),
        Decision::Alarmed { step, alarm } => {
            (Some(step), format!("ALARM: the participant contradicts itself: {alarm:?}"), Bad)
        }
        Decision::Doubted { failure } => (
            None,
            format!("would turn back ({}), but the pivot is in flight: asking for its fate", why(failure)),
            Bad,
        ),
        Decision::Resolved => (None, "the pivot did happen: going on".to_owned(), Good),
        Decision::Turned { failure, undo } => {
            let plan = if undo.is_empty() { "nothing".to_owned() } else { names(undo) };
            (None, format!("turning back: {}; to undo: {plan}", why(failure)), Bad)
        }
        Decision::Overdue => (None, "overdue: the deadline passed behind the pivot".to_owned(), Bad),
        Decision::Done { ending: Ending::Completed, .. } => (None, "completed".to_owned(), Good),
        Decision::Done { ending: Ending::Compensated, .. } => (None, "compensated".to_owned(), Good),
        Decision::Done { ending: Ending::Abandoned, .. } => (None, "abandoned".to_owned(), Bad),
        Decision::Decided { .. }
        | Decision::Sent { .. }
        | Decision::BackedOff { .. }
        | Decision::Pending { .. }
        | Decision::Held { .. }
        | Decision::Freed { .. }
        | Decision::Intended { .. }
        | Decision::Dropped { .. } => asking(decision),
        Decision::Succeeded { .. }
        | Decision::Rejected { .. }
        | Decision::Cancelled { .. }
        | Decision::Unknown { .. }
        | Decision::Undone { .. }
        | Decision::NothingToUndo { .. } => outcome(decision),
    }
}

/// What is asked of participants.
fn asking(decision: &Decision) -> (Option<&StepRef>, String, Mood) {
    use Mood::{Bad, Neutral};
    match decision {
        Decision::Decided { step, effect: Direction::Forward, queued: true, .. } => {
            (Some(step), "waits for a place".to_owned(), Neutral)
        }
        Decision::Decided { step, effect: Direction::Backward, queued: true, .. } => {
            (Some(step), "undo: not asked for, only closed".to_owned(), Neutral)
        }
        Decision::Decided { step, effect, epoch, .. } => {
            let epoch = if *epoch > 1 { format!(" anew (epoch {epoch})") } else { String::new() };
            (Some(step), format!("{}asked for{epoch}", undo(*effect)), Neutral)
        }
        Decision::Sent { step, effect, send_no, ask, .. } => {
            (Some(step), format!("{}{} (sending {send_no})", undo(*effect), asked_again(*ask)), Neutral)
        }
        Decision::BackedOff { step, effect, code, .. } => {
            (Some(step), format!("{}failed for now: {code}; will be tried again", undo(*effect)), Bad)
        }
        Decision::Pending { step, effect, .. } => {
            (Some(step), format!("{}pending: the participant is finding out", undo(*effect)), Neutral)
        }
        Decision::Held { step, effect, by, .. } => {
            (Some(step), format!("{}held: {}", undo(*effect), outage(*by)), Bad)
        }
        Decision::Freed { step, effect } => (Some(step), format!("{}freed", undo(*effect)), Neutral),
        Decision::Intended { step, effect, then } => {
            let wish = match then {
                Then::Retry { .. } => "to be tried with other data",
                Then::Settle { .. } => "to be settled by hand",
            };
            (Some(step), format!("{}{wish}, once its id is closed", undo(*effect)), Neutral)
        }
        Decision::Dropped { step, effect } => {
            (Some(step), format!("{}what was wanted of it is void", undo(*effect)), Neutral)
        }
        _ => unreachable!("`words` has words for the others"),
    }
}

/// What became of a step.
fn outcome(decision: &Decision) -> (Option<&StepRef>, String, Mood) {
    use Mood::{Bad, Good, Neutral};
    match decision {
        Decision::Succeeded { step, by_hand: true, .. } => {
            (Some(step), "settled by hand: done".to_owned(), Good)
        }
        Decision::Succeeded { step, .. } => (Some(step), "done".to_owned(), Good),
        Decision::Rejected { step, code, message } => {
            (Some(step), format!("rejected: {code}: {message}"), Bad)
        }
        Decision::Cancelled { step } => {
            (Some(step), "cancelled: it never ran and never will".to_owned(), Neutral)
        }
        Decision::Unknown { step } => {
            (Some(step), "given up without an outcome: its undo settles it".to_owned(), Bad)
        }
        Decision::Undone { step, by_hand: true, .. } => {
            (Some(step), "settled by hand: undone".to_owned(), Good)
        }
        Decision::Undone { step, .. } => (Some(step), "undone".to_owned(), Good),
        Decision::NothingToUndo { step } => (Some(step), "nothing to undo".to_owned(), Good),
        _ => unreachable!("`words` has words for the others"),
    }
}

const fn undo(direction: Direction) -> &'static str {
    match direction {
        Direction::Forward => "",
        Direction::Backward => "undo: ",
    }
}

const fn asked_again(ask: Ask) -> &'static str {
    match ask {
        Ask::Command => "asked for again",
        Ask::Fence(_) => "asked to make its fate final",
    }
}

const fn paused(by: PausedBy) -> &'static str {
    match by {
        PausedBy::Operator => "paused",
        PausedBy::Definition => "paused with its definition",
        PausedBy::Both => "paused, and so is its definition",
    }
}

const fn outage(by: HeldBy) -> &'static str {
    match by {
        HeldBy::Broker => "the broker is away",
        HeldBy::Participant => "the participant is down",
        HeldBy::Concurrency => "as many are in flight as may be",
    }
}

fn why(failure: &Failure) -> String {
    match &failure.step {
        Some(step) => format!("{} at {step}", failure.code),
        None => failure.code.clone(),
    }
}

fn names(steps: &[impl Display]) -> String {
    steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(decisions: serde_json::Value) -> String {
        let decisions: Vec<Decision> = serde_json::from_value(decisions).unwrap();
        let line = |line: Line| match line.step {
            Some(step) => format!("{step}: {}\n", line.text),
            None => format!("{}\n", line.text),
        };
        decisions.iter().map(decision).map(line).collect()
    }

    #[test]
    fn a_declined_card_reads_like_a_story() {
        let story = told(serde_json::json!([
            { "decision": "decided", "step": "charge-payment", "effect": "do", "attempts": 8,
              "due_at": "2026-11-21T08:00:00.000Z" },
            { "decision": "rejected", "step": "charge-payment", "code": "card-declined", "message": "no" },
            { "decision": "turned", "undo": ["reserve-stock"],
              "failure": { "step": "charge-payment", "code": "card-declined", "detail": "no" } },
            { "decision": "sent", "step": "reserve-stock", "effect": "undo", "send_no": 2, "left": 7,
              "due_at": "2026-11-21T08:00:00.000Z" },
            { "decision": "undone", "step": "reserve-stock" },
            { "decision": "done", "ending": "compensated" },
        ]));
        assert_eq!(
            story,
            "charge-payment: asked for\n\
             charge-payment: rejected: card-declined: no\n\
             turning back: card-declined at charge-payment; to undo: reserve-stock\n\
             reserve-stock: undo: asked for again (sending 2)\n\
             reserve-stock: undone\n\
             compensated\n"
        );
    }
}
