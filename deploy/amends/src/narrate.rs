//! A journal entry in words, for `saga show`, `saga watch` and the demo.
//!
//! Invariant: every decision has words; a new one does not compile without.

use amends_contract::{Direction, Token};
use amends_engine::{Ask, Decision, Ending, Failure, HeldBy, Input, JournalEntry, OperatorAction};

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
    pub(crate) step: Option<Token>,
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
        Input::Start { .. } | Input::Reply(_) | Input::Timer { .. } => None,
    };
    operator.into_iter().chain(entry.decisions.iter().map(decision)).collect()
}

const fn verb(action: &OperatorAction) -> &'static str {
    match action {
        OperatorAction::RetryNow => "retry now",
        OperatorAction::Cancel => "cancel",
    }
}

fn decision(decision: &Decision) -> Line {
    let (step, text, mood) = words(decision);
    Line { step: step.cloned(), text, mood }
}

fn words(decision: &Decision) -> (Option<&Token>, String, Mood) {
    use Mood::{Bad, Good, Neutral};
    match decision {
        Decision::Started { steps, .. } => (None, format!("started: {}", names(steps)), Neutral),
        Decision::Decided { step, effect, .. } => {
            (Some(step), format!("{}asked for", undo(*effect)), Neutral)
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
        Decision::DeadlineMoved { deadline_at } => {
            (None, format!("the deadline moves to {deadline_at}"), Neutral)
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
        Decision::Undone { step, .. } => (Some(step), "undone".to_owned(), Good),
        Decision::NothingToUndo { step } => (Some(step), "nothing to undo".to_owned(), Good),
        Decision::Stuck { step, effect, at } => {
            (Some(step), format!("{}stuck: {}: {}", undo(*effect), at.why.name(), at.detail), Bad)
        }
        Decision::Freed { step, effect } => (Some(step), format!("{}freed", undo(*effect)), Neutral),
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
        Decision::Done { ending: Ending::Completed } => (None, "completed".to_owned(), Good),
        Decision::Done { ending: Ending::Compensated } => (None, "compensated".to_owned(), Good),
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

const fn outage(by: HeldBy) -> &'static str {
    match by {
        HeldBy::Broker => "the broker is away",
        HeldBy::Participant => "the participant is down",
    }
}

fn why(failure: &Failure) -> String {
    match &failure.step {
        Some(step) => format!("{} at {step}", failure.code),
        None => failure.code.clone(),
    }
}

fn names(steps: &[Token]) -> String {
    steps.iter().map(Token::as_str).collect::<Vec<_>>().join(", ")
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
